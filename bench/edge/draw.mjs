// The figures as a picture: a bar each, with the goal as a line.

/** Goals as they were set: `least` or `most`. */
export const GOALS = {
  loss1_one_sender_over_raw: { least: 6 },
  loss1_four_senders_over_raw: { least: 20 },
  loss3_one_sender_over_raw: { least: 6 },
  loss3_four_senders_over_raw: { least: 20 },
  cellular_over_fluid_p50: { most: 1.15 },
  cellular_over_fluid_p99: {},
  clean_over_raw: { least: 0.9 },
  native_sender_over_chromium_loss1: { least: 6 },
  native_sender_clean_kernel_drops: { most: 0 },
  worst_time_over_http: { most: 1.05 },
  swarm20_stalls: { most: 0 },
  swarm20_origin_share: { most: 0.1 },
  slow_sender_over_others_alone: { most: 1.1 },
  stopped_sender_over_others_alone: { most: 1.1 },
  left_sender_over_others_alone: { most: 1.1 },
  time_over_webtorrent_slow_sender: { most: 1 },
  time_over_p2pml_slow_sender: { most: 1 },
};

const ROW = 26;
const [LEFT, WIDTH] = [300, 420];

/** An SVG. A bar that reaches its goal is green, one that does not is red, one without a goal grey. */
export function draw(figures) {
  const entries = Object.entries(figures).filter(([key]) => key in GOALS);
  const height = entries.length * ROW + 30;
  const bars = entries.map(([key, value], n) => {
    const { least, most } = GOALS[key];
    const goal = least ?? most;
    const scale = Math.max(value, goal ?? 0, 1e-9) * 1.15;
    const x = (v) => LEFT + (v / scale) * WIDTH;
    const good = goal === undefined ? null : least === undefined ? value <= most : value >= least;
    const colour = good === null ? "#888" : good ? "#2a7" : "#c43";
    const y = n * ROW + 10;
    const line = goal === undefined ? "" : `<path d="M${x(goal).toFixed(1)} ${y - 2}v18" stroke="#222" stroke-dasharray="3 2"/>`;
    return (
      `<text x="${LEFT - 8}" y="${y + 11}" text-anchor="end">${key}</text>` +
      `<rect x="${LEFT}" y="${y}" width="${(x(value) - LEFT).toFixed(1)}" height="14" fill="${colour}"/>${line}` +
      `<text x="${LEFT + WIDTH + 8}" y="${y + 11}">${value}</text>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 80}" height="${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/>${bars.join("")}` +
    `<text x="${LEFT}" y="${height - 8}" fill="#555">dashed: the goal; each row on a scale of its own</text></svg>\n`
  );
}
