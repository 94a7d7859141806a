// A flame graph: reads the frames out of the SVG that the node has made, and draws them so that they can be entered, also by
// keys.

const FRAME_HEIGHT = 18;

// A frame in the SVG: its title, its height, and from where to where it goes in samples.
const FRAME = /<title>([^<]*)<\/title><rect\b[^>]*\by="(\d+)"[^>]*\bfg:x="(\d+)"[^>]*\bfg:w="(\d+)"/g;

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&quot;": "\"", "&apos;": "'", "&#39;": "'", "&amp;": "&" };

// The frames of an SVG. It is read as text: as a document it would bring styles and handlers that the page's policy forbids.
function framesOf(text) {
  const frames = [...text.matchAll(FRAME)].map(([, title, y, start, samples]) => ({
    name: title.replace(/&(lt|gt|quot|apos|#39|amp);/g, (entity) => ENTITIES[entity]).replace(/ \([\d,.]+ [^()]*\)$/, ""),
    y: Number(y),
    start: Number(start),
    samples: Number(samples),
  })).filter((frame) => frame.samples > 0);
  // The frame of all stands at the bottom.
  const heights = [...new Set(frames.map((frame) => frame.y))].sort((one, other) => other - one);
  const levels = new Map(heights.map((y, level) => [y, level]));
  return frames.map((frame) => ({ ...frame, level: levels.get(frame.y) }));
}

class FlameGraph {
  constructor(target, search, line) {
    this.target = target;
    this.search = search;
    this.line = line;
    this.frames = [];
    search.addEventListener("input", () => this.draw());
    target.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => {
      if (this.width !== target.clientWidth) {
        this.draw();
      }
    }).observe(target);
  }

  show(frames) {
    this.frames = frames;
    this.root = frames.find((frame) => frame.level === 0);
    this.zoom = this.root;
    this.focused = this.root;
    this.draw();
  }

  // Whether a frame stands on another one, or is one that it stands on.
  isBelowOrAbove(frame, zoom) {
    const [outer, inner] = frame.level <= zoom.level ? [frame, zoom] : [zoom, frame];
    return outer.start <= inner.start && inner.start + inner.samples <= outer.start + outer.samples;
  }

  draw() {
    this.width = this.target.clientWidth;
    if (this.frames.length === 0 || this.width === 0) {
      this.target.replaceChildren();
      return;
    }
    const scale = this.width / this.zoom.samples;
    const shown = this.frames.filter((frame) => {
      const samples = Math.min(frame.samples, this.zoom.samples);
      return this.isBelowOrAbove(frame, this.zoom) && samples * scale >= 1;
    });
    const height = (Math.max(...shown.map((frame) => frame.level)) + 1) * FRAME_HEIGHT;
    const wanted = this.search.value.toLowerCase();
    const drawing = graphic("svg", { role: "tree", "aria-label": "Flame graph", width: this.width, height });
    for (const frame of shown) {
      drawing.append(this.drawFrame(frame, scale, height, wanted));
    }
    const had_focus = this.target.contains(document.activeElement);
    this.target.replaceChildren(drawing);
    this.shown = shown;
    if (!shown.includes(this.focused)) {
      this.focused = this.zoom;
    }
    this.focus(this.focused, had_focus);
    if (wanted !== "") {
      const found = this.frames.filter((frame) => frame.name.toLowerCase().includes(wanted));
      const outermost = found.filter((frame) => !found.some((other) => other !== frame && other.level < frame.level
        && this.isBelowOrAbove(other, frame)));
      setText(this.line, `${found.length} frames match, ${percent(sum(outermost, (frame) => frame.samples) / this.root.samples)} of the time`);
    }
  }

  drawFrame(frame, scale, height, wanted) {
    const left = Math.max(0, (frame.start - this.zoom.start) * scale);
    const width = Math.min(this.width - left, frame.samples * scale);
    const y = height - (frame.level + 1) * FRAME_HEIGHT;
    const is_match = wanted !== "" && frame.name.toLowerCase().includes(wanted);
    const group = graphic("g", {
      role: "treeitem", "aria-level": frame.level + 1, "aria-label": this.describe(frame), tabindex: -1,
      class: `frame tone${toneOf(frame.name)}${is_match ? " match" : ""}${frame.level < this.zoom.level ? " outer" : ""}`,
    }, graphic("title", {}, this.describe(frame)), graphic("rect", {
      x: left.toFixed(2), y, width: Math.max(0.5, width - 0.5).toFixed(2), height: FRAME_HEIGHT - 1,
    }));
    const characters = Math.floor((width - 6) / 6.7);
    if (characters >= 3) {
      const name = frame.name.length > characters ? `${frame.name.slice(0, characters - 1)}…` : frame.name;
      group.append(graphic("text", { x: (left + 3).toFixed(2), y: y + 12.5 }, name));
    }
    group.addEventListener("click", () => this.enter(frame));
    group.addEventListener("focus", () => setText(this.line, this.describe(frame)));
    group.addEventListener("mouseenter", () => setText(this.line, this.describe(frame)));
    frame.group = group;
    return group;
  }

  describe(frame) {
    return `${frame.name}: ${percent(frame.samples / this.root.samples)}, ${frame.samples} samples`;
  }

  enter(frame) {
    this.zoom = frame;
    this.focused = frame;
    this.draw();
    this.focus(frame, true);
  }

  focus(frame, is_wanted) {
    if (this.focused.group) {
      this.focused.group.setAttribute("tabindex", -1);
    }
    this.focused = frame;
    frame.group.setAttribute("tabindex", 0);
    if (is_wanted) {
      frame.group.focus();
    }
  }

  press(event) {
    if (this.frames.length === 0) {
      return;
    }
    const at = this.focused;
    const on = (level) => this.shown.filter((frame) => frame.level === level).sort((one, other) => one.start - other.start);
    const beside = (step) => {
      const level = on(at.level);
      return level[level.indexOf(at) + step];
    };
    const widest = (frames) => frames.sort((one, other) => other.samples - one.samples)[0];
    const actions = {
      ArrowUp: () => widest(on(at.level + 1).filter((frame) => this.isBelowOrAbove(frame, at))),
      ArrowDown: () => on(at.level - 1).find((frame) => this.isBelowOrAbove(frame, at)),
      ArrowLeft: () => beside(-1),
      ArrowRight: () => beside(1),
      Enter: () => { this.enter(at); return at; },
      " ": () => { this.enter(at); return at; },
      Escape: () => { this.enter(this.root); return this.root; },
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      const next = action();
      if (next) {
        this.focus(next, true);
      }
    }
  }
}

// One of six tones by the name, so that the same function looks the same in two graphs.
function toneOf(name) {
  let tone = 0;
  for (const character of name.slice(0, 40)) {
    tone = (tone * 31 + character.codePointAt(0)) % 997;
  }
  return tone % 6;
}
