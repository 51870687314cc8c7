// A good client as a process of its own, so that what floods the relay does not also keep the clock: `PORT FROM PATH COUNT`. It asks one
// request after the other, each on a connection of its own, and prints the 99th percentile of the milliseconds until an answer began. As many
// requests before are not counted: they measure how soon this process is warm.
import { connect } from "node:net";

const [port, from, path, count] = process.argv.slice(2);
for (let at = 0; at < Number(count); at += 1) await answered();
const times = [];
for (let at = 0; at < Number(count); at += 1) times.push(await answered());
times.sort((a, b) => a - b);
console.log(times[Math.min(times.length - 1, Math.floor(times.length * 0.99))]);

/** One that is not answered has waited for ten seconds. */
function answered() {
  const began = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: from });
    const end = (ms) => {
      clearTimeout(late);
      socket.destroy();
      resolve(ms);
    };
    const late = setTimeout(() => end(10_000), 10_000);
    socket.on("connect", () => socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n\r\n`));
    socket.on("data", () => end(performance.now() - began));
    socket.on("error", () => end(10_000));
  });
}
