//! Frozen coded symbols and parities: if one of these changes, old and new peers no longer understand each other.

use peeredge_code::{CodedId, DENSITY_CLASSES, Encoder, Geometry};

/// FNV-1a, 64 bits: a fingerprint that any implementation can repeat.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Byte i of the block is the top byte of (i + 1) * 0x9e3779b97f4a7c15.
fn block_of(len: usize) -> Vec<u8> {
    (1..=len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// (K, symbol length, bytes that the last symbol is short of, fingerprint of the parity, fingerprints of the coded symbols
/// of each density class with seed 1000 + class).
const VECTORS: [(u64, u32, u64, u64, [u64; DENSITY_CLASSES as usize]); 8] = [
    (
        1,
        64,
        0,
        0xcbf2_9ce4_8422_2325,
        [
            0x5242_0a95_bb74_9121,
            0xf866_8d12_cdc3_cd68,
            0xb091_403b_ec95_cfa5,
            0x4d24_5501_fff7_19a4,
            0x20a2_fba9_bb6b_0d39,
            0x61a1_de39_70ed_caf0,
            0x59d7_20cc_c203_e702,
            0x4973_5bf3_bab7_2206,
            0x11ad_27c3_64b9_74df,
            0xf9da_6399_3014_6ba7,
            0x1e4b_d00a_56cd_def3,
            0xb523_3e34_40e5_5e76,
            0xaf94_5021_f93d_8b9a,
            0x44c4_7fd4_e811_f395,
        ],
    ),
    (
        16,
        64,
        0,
        0xcbf2_9ce4_8422_2325,
        [
            0x36bf_7935_229c_70a0,
            0x3a36_62ba_6220_09a4,
            0x3cb9_6dee_56ee_1b0e,
            0x04e4_0abc_6ccd_1774,
            0xe8d5_b617_dba9_6aa4,
            0xc899_1930_315b_5ea6,
            0xa174_0ae7_a4f5_a010,
            0x56fe_3080_0e00_4b01,
            0x585a_67b8_6ff2_5932,
            0xd7fb_dbe6_bfd9_59e0,
            0x9ec4_b76f_43f2_0a88,
            0x5040_1720_6ac5_345e,
            0xec8c_1dfe_f311_08c0,
            0x696c_b3b2_33dc_e0de,
        ],
    ),
    (
        64,
        65,
        3,
        0xcbf2_9ce4_8422_2325,
        [
            0x909c_cd19_edbe_7420,
            0xcbe6_f0f5_6a98_29fc,
            0x7284_51c4_d281_a8d2,
            0x9e2c_7b58_3043_4115,
            0xa906_e2db_ed8d_437d,
            0x1cf9_7973_e0be_dac3,
            0x5463_b592_a535_e1c4,
            0x26cd_1871_ecd7_a3a7,
            0x0b4e_a085_f15b_cb59,
            0x78e7_107d_27eb_de79,
            0xc444_bf69_ba48_eb6b,
            0xc987_da27_0e62_adf0,
            0x6040_3f2d_40ea_2c60,
            0x5c39_f511_a7e3_b66e,
        ],
    ),
    (
        65,
        64,
        0,
        0x89dc_df15_90fc_6d03,
        [
            0xd28c_ae1d_b765_4180,
            0x64ae_7fc2_c2a2_41e7,
            0x06b7_03f7_fd54_616f,
            0x0bfa_5806_0e01_91c6,
            0xa356_6296_5784_cf2d,
            0x19fa_90ad_fdd8_0029,
            0x66d4_194c_a8be_2cee,
            0x9216_01a1_85ae_4f47,
            0xb277_3b32_ff7a_71c7,
            0xd09f_2193_e865_5b14,
            0x55ae_40ec_87a2_85f2,
            0xfe80_8cb1_b95e_f44f,
            0x23e2_2d8d_fb72_fbd8,
            0xa83e_cacb_b842_d0bc,
        ],
    ),
    (
        100,
        101,
        3,
        0x5edc_1ead_80a2_11cb,
        [
            0x1426_4d3f_ced0_4120,
            0x882e_371c_81b2_a480,
            0xde50_56c3_175c_3cfe,
            0xe957_f421_f4c2_85f6,
            0xc94f_746c_528c_5d64,
            0xed1e_20da_f526_e067,
            0x8529_9bcc_128e_35b9,
            0x105e_91c2_23b3_dade,
            0xa8a6_fba3_d55e_3c08,
            0xb40e_3bf4_2caf_1b2c,
            0x6dc7_1323_0dae_66a1,
            0x9c06_7c1b_33dc_ef52,
            0x0491_6b9c_984b_6877,
            0x079f_67b2_b2f8_1d1f,
        ],
    ),
    (
        1000,
        64,
        1,
        0x7c5e_4f1e_c7b2_60be,
        [
            0xe829_a45d_694d_43b9,
            0x9211_7eba_5aa2_44f6,
            0xdf2b_2c07_2a98_b4d6,
            0x6aa8_cdab_0c77_93c8,
            0x593c_b863_f9a9_ed3e,
            0xf9a8_3e80_2d03_9e57,
            0xb21a_5f14_6e2a_1fa3,
            0x8ea2_9cdc_ff1e_7387,
            0x16c0_f1de_bea6_7db6,
            0xc347_2256_9119_a730,
            0x919f_3c9b_7492_b37c,
            0xf7d6_e72c_0a7e_d78b,
            0x529f_7652_6d08_7df3,
            0x1509_b612_2b1f_cc78,
        ],
    ),
    (
        10000,
        64,
        0,
        0x3ab1_a1f2_89c0_acf1,
        [
            0x1b39_e014_64b5_751a,
            0xed59_e299_2c37_3a08,
            0x503f_1256_a387_8a59,
            0x383a_1c78_3095_9875,
            0xa475_4e87_407a_235b,
            0xe909_bf66_1931_cd73,
            0xeaba_846b_4665_3261,
            0x564b_9a92_a757_1e27,
            0xf211_1365_5786_108e,
            0xb7e8_307b_60b9_a042,
            0xfdd1_f742_c7a2_af17,
            0xa5ad_59a2_77a8_0637,
            0xa572_e138_d57f_e925,
            0xc751_64b3_8e42_151e,
        ],
    ),
    (
        65536,
        64,
        5,
        0xe0b6_c91a_5356_99a1,
        [
            0xec76_2565_0291_3e9c,
            0x48ca_8255_b074_bc54,
            0xaace_6035_71ff_1f73,
            0xf6fd_8c51_ec19_d908,
            0xadda_2fdd_748e_31d0,
            0x7707_b16d_e42a_bdb8,
            0xcce5_d4af_ee46_5d29,
            0x6a83_16ee_d606_18c2,
            0x895f_c20a_39d6_bea6,
            0x3644_e40c_0d75_163f,
            0xe92b_0508_b421_0b9c,
            0xc83a_4df0_ee61_49bd,
            0x558f_b1b0_efd2_6714,
            0xba1e_aa98_d362_6289,
        ],
    ),
];

fn fingerprints(k: u64, symbol_len: u32, short: u64) -> (u64, Vec<u64>) {
    let geometry = Geometry::new(k * u64::from(symbol_len) - short, symbol_len).expect("in range");
    let block = block_of(geometry.block_len() as usize);
    let encoder = Encoder::new(geometry, &block).expect("the block fits");
    let mut out = vec![0; symbol_len as usize];
    let coded = (0..DENSITY_CLASSES).map(|density| {
        let id = CodedId { density, seed: 1000 + u64::from(density) };
        encoder.write_coded(id, &mut out).expect("a valid id");
        fnv(&out)
    });
    (fnv(encoder.parity()), coded.collect())
}

#[test]
fn parities_and_coded_symbols_stay_what_they_were() {
    for (k, symbol_len, short, parity, coded) in VECTORS {
        let found = fingerprints(k, symbol_len, short);
        assert_eq!(found, (parity, coded.to_vec()), "K = {k}: found {found:#x?}");
    }
}
