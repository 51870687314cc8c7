//! Work comes in steps of bounded size, and in parts that can run on several threads, with the same result.

use peeredge_code::{Decoder, Encoder, Encoding, Geometry, Step};

fn block_of(len: u64) -> Vec<u8> {
    (1..=len).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Missing: two of five.
fn receiver(geometry: Geometry, block: &[u8]) -> Decoder {
    let mut decoder = Decoder::new(geometry);
    for i in (0..geometry.source_symbols()).filter(|i| i % 5 > 1) {
        decoder.add_source(i, &block[geometry.symbol_range(i)]).expect("in range");
    }
    let encoder = Encoder::new(geometry, block).expect("the block fits");
    for (n, id) in decoder.propose(decoder.missing(), 1).into_iter().enumerate() {
        let mut symbol = vec![0; geometry.symbol_len() as usize];
        encoder.write_coded(id, &mut symbol).expect("a valid id");
        let taken =
            if n % 2 == 0 { decoder.add_coded_owned(id, symbol) } else { decoder.add_coded(id, &symbol) };
        assert_eq!(taken, Ok(true));
    }
    decoder
}

/// A step's budget is exceeded by one piece of work at most: a pass over the tables (counted as 64 bytes an entry), or a strip of
/// columns. Both grow with K and neither with the length of symbols; beyond them no call does more than it was given.
#[test]
fn no_step_does_much_more_than_its_budget() {
    const BUDGET: u64 = 100_000;
    for (k, t) in [(40u64, 3000u32), (300, 5000), (2000, 1200), (2000, 5000), (6000, 700)] {
        let geometry = Geometry::new(k * u64::from(t) - 7, t).expect("in range");
        let block = block_of(geometry.block_len());
        let mut decoder = receiver(geometry, &block);
        let mut calls = 0u64;
        while decoder.step(BUDGET as usize) != Step::Done {
            calls += 1;
        }
        let cost = decoder.cost();
        let strip = cost.operations * 256;
        let bound = BUDGET + strip.max(64 * 16 * k);
        assert!(cost.step_bytes_most <= bound, "K={k} T={t}: {} of {bound}", cost.step_bytes_most);
        // All the work was done in steps: none of them did it alone.
        let all = cost.operations * u64::from(t);
        assert!(calls * bound >= all && calls >= all / (2 * bound), "K={k} T={t}: {calls} calls");
        assert_eq!(decoder.into_block().as_deref(), Some(&block[..]));
    }
}

#[test]
fn an_encoding_in_steps_is_the_encoding_in_one_go() {
    for (k, t, short) in [(1u64, 64u32, 0u64), (30, 777, 5), (65, 64, 63), (700, 501, 1), (1500, 300, 0)] {
        let geometry = Geometry::new(k * u64::from(t) - short, t).expect("in range");
        let block = block_of(geometry.block_len());
        let ids = Decoder::new(geometry).propose(20, 3);
        let mut expected = vec![0; ids.len() * t as usize];
        let encoder = Encoder::new_with_coded(geometry, &block, &ids, &mut expected).expect("it fits");

        let mut encoding = Encoding::new(geometry, &ids).expect("valid ids");
        let mut out = vec![0; expected.len()];
        let mut calls = 1;
        while !encoding.step(&block, &mut out, 1).expect("it fits") {
            calls += 1;
        }
        assert!(calls >= t.div_ceil(256), "K={k} T={t}: {calls} calls with the least budget");
        assert_eq!(out, expected);
        assert_eq!(encoding.into_parity().as_deref(), Some(encoder.parity()));
    }
}

/// A step, then two parts on two threads, of which a third was dropped, then the rest by itself.
#[test]
fn parts_on_threads_make_the_same_bytes() {
    for (k, t, short) in [(30u64, 2777u32, 5u64), (65, 640, 63), (700, 1501, 1), (1500, 1024, 0)] {
        let geometry = Geometry::new(k * u64::from(t) - short, t).expect("in range");
        let block = block_of(geometry.block_len());
        let ids = Decoder::new(geometry).propose(20, 3);
        let mut expected = vec![0; ids.len() * t as usize];
        let encoder = Encoder::new_with_coded(geometry, &block, &ids, &mut expected).expect("it fits");

        let mut encoding = Encoding::new(geometry, &ids).expect("valid ids");
        let mut out = vec![0; expected.len()];
        encoding.step(&block, &mut out, 1).expect("it fits");
        let mut parts = encoding.parts(&block, &mut out, 3).expect("it fits");
        assert!(parts.len() > 1);
        drop(parts.pop());
        std::thread::scope(|scope| parts.into_iter().for_each(|part| drop(scope.spawn(|| part.run()))));
        assert_eq!(encoding.clone().into_parity(), None, "columns are left");
        while !encoding.step(&block, &mut out, 1000).expect("it fits") {}
        assert_eq!(out, expected);
        assert_eq!(encoding.into_parity().as_deref(), Some(encoder.parity()));

        let mut decoder = receiver(geometry, &block);
        let mut parts = decoder.parts(3).expect("there is enough");
        drop(parts.pop());
        std::thread::scope(|scope| parts.into_iter().for_each(|part| drop(scope.spawn(|| part.run()))));
        assert!(decoder.missing() > 0, "columns are left");
        assert_eq!(decoder.step(usize::MAX), Step::Done);
        assert_eq!(decoder.into_block().as_deref(), Some(&block[..]));
    }
}

#[test]
fn parts_need_enough_symbols() {
    let geometry = Geometry::new(100 * 64, 64).expect("in range");
    let mut decoder = Decoder::new(geometry);
    assert_eq!(decoder.parts(2).err(), Some(Step::NeedMore { coded: 100 }));
}

/// What was given away comes back, to be compared with what the block makes.
#[test]
fn symbols_given_away_come_back() {
    let geometry = Geometry::new(200 * 100, 100).expect("in range");
    let block = block_of(geometry.block_len());
    let mut decoder = receiver(geometry, &block);
    assert_eq!(decoder.step(usize::MAX), Step::Done);
    let owned = decoder.take_owned();
    assert_eq!(owned.len(), 40);
    let encoder = Encoder::new(geometry, &block).expect("the block fits");
    let mut again = vec![0; 100];
    for (id, bytes) in owned {
        encoder.write_coded(id, &mut again).expect("a valid id");
        assert_eq!(again, bytes);
    }
}
