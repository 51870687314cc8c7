import { programLink, shareUrl, sizeOf, type App, type Transfer } from "../app.ts";
import { creditOf } from "../credit.ts";
import { h, setText } from "../dom.ts";
import { bytes, duration, percent, rate } from "../format.ts";
import { button, card, icon } from "./parts.ts";
import { sourceView } from "./source.ts";

/** What the visitor came for: the choice of a content, then the content itself, on its way and arrived. */
export function stageView(app: App): { element: HTMLElement; update(): void } {
  const source = sourceView(app);
  const name = h("h3", { class: "title" });
  const about = h("p", { class: "hint" });
  const fileCard = h("div", { class: "filecard", "aria-hidden": "true" }, icon("file"), h("span"));
  const bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": "Progress" }, h("div", { class: "fill" }));
  const number = h("span", { class: "big" });
  const detail = h("span", { class: "detail" });
  const progress = h("div", { class: "progress" }, h("p", { class: "progress-words" }, number, detail), bar);
  const verified = h("p", { class: "verified" }, icon("shield"), h("span"));
  const said = h("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const problem = h("div", { class: "problem", role: "alert" });

  const shareLink = h("input", { type: "text", readonly: true, id: "share-link", class: "mono" });
  const copy = button("copy", "Copy", "plain", () => void copyLink());
  const second = h("a", { class: "button primary", target: "_blank", rel: "noopener" }, icon("tab"), h("span", {}, "Open a second tab"));
  const command = h("code", { class: "command" });
  const share = h(
    "div",
    { class: "share" },
    h("label", { for: "share-link" }, "Open this in a second tab or another browser"),
    h("div", { class: "field" }, shareLink, copy),
    h("details", { class: "terminal" }, h("summary", {}, "Or fetch it from a terminal"), command),
  );
  const save = h("a", { class: "button plain" }, icon("save"), h("span", {}, "Save"));
  const stop = button("close", "Stop", "plain", () => app.stop());
  const retry = button("retry", "Try again", "primary", () => app.retry());
  const leave = button(null, "Choose another", "quiet", () => app.leave());
  const actions = h("div", { class: "actions" }, second, save, retry, stop, leave);
  const content = h(
    "div",
    { class: "content" },
    app.player.element,
    fileCard,
    h("div", { class: "content-head" }, h("div", {}, name, about)),
    progress,
    verified,
    problem,
    share,
    actions,
    said,
  );
  const element = card("stage", "Content", null, source.element, content);
  const heading = element.querySelector("h2");
  let savedUrl: { blob: Blob; url: string } | null = null;
  let copied = 0;

  async function copyLink(): Promise<void> {
    try {
      await navigator.clipboard.writeText(shareLink.value);
    } catch {
      // Without a secure origin there is no clipboard: then it is selected, ready to be copied by hand.
      shareLink.select();
      return;
    }
    const label = copy.querySelector("span");
    if (label) setText(label, "Copied");
    clearTimeout(copied);
    copied = setTimeout(() => label && setText(label, "Copy"), 1600) as unknown as number;
  }

  function saveAs(transfer: Transfer): void {
    if (savedUrl?.blob === transfer.blob) return;
    if (savedUrl) URL.revokeObjectURL(savedUrl.url);
    savedUrl = transfer.blob && { blob: transfer.blob, url: URL.createObjectURL(transfer.blob) };
    if (!savedUrl) return;
    save.href = savedUrl.url;
    save.download = transfer.name || "content";
  }

  return {
    element,
    update() {
      const transfer = app.transfer;
      source.element.hidden = transfer !== null;
      content.hidden = transfer === null;
      if (heading) setText(heading, headingOf(transfer));
      if (!transfer) return source.update();
      const held = app.heldBytes();
      const done = transfer.phase === "done";
      const busy = transfer.phase === "hashing" || transfer.phase === "seeking" || transfer.phase === "loading";
      const doneBytes = transfer.phase === "hashing" ? transfer.doneBytes : done ? (transfer.length ?? 0) : held;
      setText(name, transfer.name || (busy ? "Looking for its description …" : "Unknown content"));
      setText(about, [transfer.type, sizeOf(transfer), creditOf(transfer.name)].filter(Boolean).join(" · "));
      fileCard.hidden = app.player.showing;
      const share_ = percent(doneBytes, transfer.length ?? 0);
      const fileText = fileCard.querySelector("span");
      if (fileText) setText(fileText, extensionOf(transfer.name));
      fileCard.style.setProperty("--held", share_.replace(" ", ""));

      progress.hidden = !busy && transfer.length === null;
      setText(number, transfer.length === null ? "…" : share_);
      setText(detail, detailOf(app, transfer, doneBytes));
      bar.setAttribute("aria-valuenow", share_.replace(" %", ""));
      bar.classList.toggle("searching", transfer.phase === "seeking");
      (bar.firstElementChild as HTMLElement).style.setProperty("inline-size", share_.replace(" ", ""));
      bar.classList.toggle("done", done);

      verified.hidden = !done;
      const words = verified.querySelector("span");
      if (words && done) setText(words, verifiedOf(transfer));

      problem.hidden = transfer.problem === null;
      if (transfer.problem && problem.dataset["code"] !== transfer.problem.code) {
        problem.dataset["code"] = transfer.problem.code;
        problem.replaceChildren(icon("warning"), h("div", {}, h("strong", {}, transfer.problem.title), h("p", {}, transfer.problem.advice), h("code", {}, transfer.problem.code)));
      } else if (!transfer.problem) delete problem.dataset["code"];

      share.hidden = transfer.content === null;
      second.hidden = transfer.content === null;
      if (transfer.content) {
        const url = shareUrl(transfer.content);
        if (shareLink.value !== url) shareLink.value = url;
        second.href = url;
        setText(command, `peeredge get '${programLink(transfer.content, transfer.name).replaceAll("'", "%27")}'`);
      }
      saveAs(transfer);
      save.hidden = !transfer.blob || transfer.origin === "publish";
      stop.hidden = !busy;
      // A link that is none does not become one.
      retry.hidden = (transfer.phase !== "failed" && transfer.phase !== "stopped") || transfer.problem?.code === "invalid_link";
      leave.hidden = busy;
      setText(said, spoken(transfer, doneBytes));
    },
  };
}

function headingOf(transfer: Transfer | null): string {
  if (!transfer) return "Choose something to deliver";
  if (transfer.origin === "publish") return transfer.phase === "done" ? "Shared from this tab" : "Making a link";
  return { hashing: "", seeking: "Looking for it", loading: "Arriving", done: "Arrived", failed: "Not delivered", stopped: "Stopped" }[transfer.phase];
}

function detailOf(app: App, transfer: Transfer, doneBytes: number): string {
  const length = transfer.length ?? 0;
  if (transfer.phase === "hashing") return `hashed, ${bytes(doneBytes)} of ${bytes(length)}`;
  if (transfer.phase === "seeking") return "asking peers and relay";
  if (transfer.phase === "done" && transfer.origin === "publish") {
    const given = app.stats?.sentBytes ?? 0;
    const speed = app.rates.of("sent", performance.now());
    return given ? `given ${bytes(given)}${speed >= 1 ? ` · ${rate(speed)}` : ""}` : "ready to be fetched";
  }
  if (transfer.phase === "done") return `in ${duration((transfer.endedMs ?? 0) - transfer.startedMs)}`;
  if (transfer.phase !== "loading") return `${bytes(doneBytes)} of ${bytes(length)} kept`;
  const now = performance.now();
  const speed = ["peers", "relay", "http"].reduce((sum, key) => sum + app.rates.of(key, now), 0);
  const leftMs = speed > 1000 ? ((length - doneBytes) / speed) * 1000 : 0;
  const left = leftMs >= 1000 ? ` · ${duration(Math.round(leftMs / 1000) * 1000)} left` : "";
  return `${bytes(doneBytes)} of ${bytes(length)} · ${rate(speed)}${left}`;
}

function verifiedOf(transfer: Transfer): string {
  if (transfer.origin === "publish") {
    return transfer.stored ? "Hashed and kept in this browser: shared again after a reload." : "Hashed. Shared from the file itself, as long as this tab is open.";
  }
  const first = transfer.firstByteMs === null ? "" : ` First bytes after ${duration(transfer.firstByteMs - transfer.startedMs)}.`;
  return `Every byte matches the link.${first}`;
}

/** Read aloud: the steps, and each quarter of the way. */
function spoken(transfer: Transfer, doneBytes: number): string {
  if (transfer.phase === "loading" && transfer.length) return `${25 * Math.floor((4 * doneBytes) / transfer.length)} percent of ${transfer.name}`;
  if (transfer.phase === "done") return `${transfer.name} is complete and verified`;
  return transfer.phase === "stopped" ? "Stopped" : "";
}

function extensionOf(name: string): string {
  return /\.([\w]{1,6})$/.exec(name)?.[1]?.toUpperCase() ?? "FILE";
}
