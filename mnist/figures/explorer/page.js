// What the page does: a style that sliders, the map, drawings and kept styles change, and the images
// of every class in it, drawn anew whenever it has changed.

const run = JSON.parse(document.getElementById("run").textContent);
const networks = new Networks(run);
const byId = (id) => document.getElementById(id);
const [channels, tall, wide] = run.image_shape;
const labels = run.conditional ? run.class_names.map((_, i) => i) : [0];
const BEYOND = 0.25; // of the way between the prior's outer quantiles, that sliders go beyond them
const samples = rows(floats(run.samples), run.feature_size);
const NEAREST = 6; // test images shown
const tests = run.tests
  ? {
    images: levels(run.tests.images),
    labels: run.tests.labels,
    styles: rows(floats(run.tests.styles), run.feature_size),
  } : {images: [], labels: [], styles: []};

const state = {style: samples[0], sharpness: run.sharpness, locked: new Set()};
const past = [], future = [], kept = [];
let hand = []; // {mean, deviation} of each drawing

function rows(numbers, width) {
  const count = numbers.length / width;
  return Array.from({length: count}, (_, i) => [...numbers.subarray(i * width, (i + 1) * width)]);
}

// --- images ---------------------------------------------------------------------------------------

/** An image [pixels], channel by channel, as the canvas's pixels: grey is ink on paper. */
function paint(canvas, image) {
  canvas.width = wide;
  canvas.height = tall;
  canvas.getContext("2d").putImageData(pixelsOf(image), 0, 0);
}

function pixelsOf(image) {
  const picture = new ImageData(wide, tall), size = wide * tall;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = channels === 3 ? image[c * size + i] : 1 - image[i];
      picture.data[4 * i + c] = Math.round(255 * value);
    }
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

const written = labels.map((label) => {
  const canvas = document.createElement("canvas");
  if (run.conditional) canvas.title = run.class_names[label];
  byId("written").append(canvas);
  return canvas;
});
byId("written").classList.toggle("many", labels.length > 10);

let asked = false;
function changed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  const images = networks.decode(labels.map(() => state.style), labels, state.sharpness);
  images.forEach((image, i) => paint(written[i], image));
  const numbers = state.style.map((x) => x.toFixed(2)).join(", ");
  byId("written").setAttribute("aria-label", `Every ${run.class_word} in the style ${numbers}`);
  showSliders();
  showMap();
  showNearest();
  writeText();
  byId("undo").disabled = !past.length;
  byId("redo").disabled = !future.length;
  const link = new URLSearchParams({style: state.style.map((x) => +x.toFixed(4)).join(",")});
  if (state.sharpness !== run.sharpness) link.set("sharpness", state.sharpness.toFixed(2));
  history.replaceState(null, "", `#${link}`);
}

// --- the style ------------------------------------------------------------------------------------

/** A new style, but for the numbers that are locked; `undo` goes back to the one before. */
function setStyle(style, remembered = true) {
  const next = style.map((x, i) => (state.locked.has(i) ? state.style[i] : x));
  if (remembered) remember();
  state.style = next;
  changed();
}

function remember() {
  past.push(state.style);
  future.length = 0;
  if (past.length > 200) past.shift();
}

function step(from, to) {
  if (!from.length) return;
  to.push(state.style);
  state.style = from.pop();
  changed();
}

const sliders = run.quantiles.map(([low, middle, high], i) => {
  const margin = BEYOND * (high - low) || 1, min = low - margin, max = high + margin;
  const place = (x) => `${(100 * (x - min)) / (max - min)}%`;
  const row = document.createElement("div");
  row.className = "slider";
  const name = document.createElement("label");
  name.textContent = `z${i + 1}`;
  name.htmlFor = `z${i}`;
  const track = document.createElement("div");
  track.className = "track";
  const range = Object.assign(document.createElement("input"), {
    type: "range", id: `z${i}`, min, max, step: (max - min) / 400,
  });
  const band = document.createElement("div");
  band.className = "band";
  band.hidden = true;
  track.append(band, range, ...[low, middle, high].map((x) => {
    const mark = document.createElement("div");
    mark.className = "quantile";
    mark.style.left = place(x);
    return mark;
  }));
  const value = document.createElement("output");
  value.htmlFor = `z${i}`;
  const lock = document.createElement("label"), box = document.createElement("input");
  lock.className = "lock";
  box.type = "checkbox";
  lock.append(box, "lock");
  box.setAttribute("aria-label", `lock z${i + 1}`);
  box.addEventListener("change", () => {
    state.locked[box.checked ? "add" : "delete"](i);
    range.disabled = box.checked;
  });
  range.addEventListener("pointerdown", remember);
  range.addEventListener("keydown", (event) => {
    if (event.key === "0") setNumber(i, middle);
    else if (!event.repeat && /^(Arrow|Page|Home|End)/.test(event.key)) remember();
  });
  range.addEventListener("input", () => setNumber(i, +range.value, false));
  track.addEventListener("dblclick", () => setNumber(i, middle));
  row.append(name, track, value, lock);
  return {row, range, value, band, place};
});
for (const i of run.order) byId("sliders").append(sliders[i].row);
byId("sliders").classList.toggle("many", sliders.length > 12);

function setNumber(i, x, remembered = true) {
  const style = [...state.style];
  style[i] = x;
  setStyle(style, remembered);
}

function showSliders() {
  const {mean, deviation} = hand.length ? together(hand, run.prior_std) : {};
  sliders.forEach(({range, value, band, place}, i) => {
    range.value = state.style[i];
    value.textContent = state.style[i].toFixed(2);
    band.hidden = !mean || !deviation[i];
    if (band.hidden) return;
    const [start, end] = [-2, 2].map((d) => Math.min(Math.max(
      parseFloat(place(mean[i] + d * deviation[i])), 0), 100));
    band.style.left = `${start}%`;
    band.style.width = `${end - start}%`;
  });
  if (document.activeElement !== byId("coordinates"))
    byId("coordinates").value = state.style.map((x) => +x.toFixed(3)).join(",");
  byId("sharpness").value = state.sharpness;
  byId("sharpness-value").textContent = state.sharpness.toFixed(2);
}

/** The style in a text such as "0.3,-1.2", or null. */
function styleIn(text) {
  const numbers = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  const fits = numbers.length === run.feature_size;
  return fits && numbers.every((x) => Math.abs(x) <= 1e4) ? numbers : null;
}

function restore() {
  const link = new URLSearchParams(location.hash.slice(1, 20_000));
  const style = styleIn(link.get("style") || ""), sharpness = Number(link.get("sharpness"));
  if (style) state.style = style;
  if (sharpness >= 0.5 && sharpness <= 4) state.sharpness = sharpness;
}

// --- the map --------------------------------------------------------------------------------------

function colourOf(label) {
  return run.colours[label % run.colours.length];
}

for (const [id, chosen] of [["across", 0], ["up", Math.min(1, run.feature_size - 1)]]) {
  run.quantiles.forEach((_, i) => byId(id).append(new Option(`z${i + 1}`, i)));
  byId(id).value = chosen;
  byId(id).addEventListener("change", changed);
}
if (tests.styles.length)
  run.class_names.forEach((name, label) => {
    const key = document.createElement("span"), dot = document.createElement("i");
    key.className = "key";
    dot.style.background = colourOf(label);
    key.append(dot, name);
    byId("legend").append(key);
  });

/** From numbers of two dimensions to pixels of the map, and back. */
function mapping() {
  const axes = ["across", "up"].map((id) => +byId(id).value), {width, height} = byId("map");
  const [x, y] = axes.map((i) => [+sliders[i].range.min, +sliders[i].range.max]);
  return {
    axes,
    there: (style) => [
      (width * (style[axes[0]] - x[0])) / (x[1] - x[0]),
      height - (height * (style[axes[1]] - y[0])) / (y[1] - y[0]),
    ],
    back: (u, v) => [
      x[0] + (u / width) * (x[1] - x[0]),
      y[0] + (1 - v / height) * (y[1] - y[0]),
    ],
  };
}

function showMap() {
  const canvas = byId("map"), pen = canvas.getContext("2d"), {there} = mapping();
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 0.8;
  tests.styles.forEach((style, i) => {
    pen.fillStyle = colourOf(tests.labels[i]);
    pen.beginPath();
    pen.arc(...there(style), 2.5, 0, 7);
    pen.fill();
  });
  pen.globalAlpha = 1;
  const [x, y] = there(state.style);
  pen.strokeStyle = "#000000";
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, 7, 0, 7);
  pen.moveTo(x - 11, y);
  pen.lineTo(x + 11, y);
  pen.moveTo(x, y - 11);
  pen.lineTo(x, y + 11);
  pen.stroke();
}

const near = tests.labels.slice(0, NEAREST).map(() => {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  canvas.setAttribute("role", "img");
  figure.append(canvas, caption);
  byId("nearest").append(figure);
  return {canvas, caption};
});
byId("nearest-title").hidden = !near.length;

/** The test images whose styles are nearest to this one. */
function showNearest() {
  const away = tests.styles.map((style, i) =>
    [style.reduce((sum, x, k) => sum + (x - state.style[k]) ** 2, 0), i]);
  away.sort(([one], [other]) => one - other);
  near.forEach(({canvas, caption}, place) => {
    const [, i] = away[place];
    paint(canvas, tests.images.subarray(i * run.pixels, (i + 1) * run.pixels));
    caption.textContent = run.class_names[tests.labels[i]];
    canvas.setAttribute("aria-label", `A test image: ${caption.textContent}`);
  });
}

function onMap(event) {
  const canvas = byId("map"), box = canvas.getBoundingClientRect(), {axes, back} = mapping();
  const place = back(
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  );
  const style = [...state.style];
  axes.forEach((axis, i) => { style[axis] = place[i]; });
  setStyle(style, false);
}

dragged(byId("map"), (event) => { remember(); onMap(event); }, onMap);
byId("map").addEventListener("keydown", (event) => {
  const way = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1]}[event.key];
  if (!way) return;
  event.preventDefault();
  const axis = mapping().axes[way[0]];
  setNumber(axis, state.style[axis] + way[1] * 10 * +sliders[axis].range.step);
});

/** Call `start` where a pointer goes down on an element, and `move` until it is lifted. */
function dragged(element, start, move, end = () => {}) {
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    start(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) move(event);
  });
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
}

// --- drawing --------------------------------------------------------------------------------------

const canvas = byId("pen"), pen = canvas.getContext("2d", {willReadFrequently: true});
const LARGEST = 50e6, LARGEST_FILE = 20e6; // pixels and bytes of a picture
let blank = true, at = null;

function clearDrawing() {
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  blank = true;
  paint(byId("seen"), new Float32Array(run.pixels));
  byId("said").textContent = "";
}

function penAt(event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}

function stroke(event) {
  const to = penAt(event);
  pen.strokeStyle = "#000000";
  pen.lineWidth = 13;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...(at || [to[0] - 0.01, to[1]])); // of no length at all a line is not drawn
  pen.lineTo(...to);
  pen.stroke();
  at = to;
  blank = false;
}

/** The drawing as the encoder takes it, or null. */
function prepared() {
  if (blank) return null;
  const {data, width, height} = pen.getImageData(0, 0, canvas.width, canvas.height);
  const grey = new Float64Array(width * height);
  for (let i = 0; i < grey.length; i++)
    // Pillow's, from red, green and blue.
    grey[i] = (data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 32768) >> 16;
  return prepare({width, height, data: grey});
}

/** Take the style of the drawing, with those that were added before. */
function look() {
  const seen = prepared();
  if (!seen || !seen.image) {
    byId("said").textContent = blank ? "" : `no ${run.class_word} is seen in this`;
    return null;
  }
  paint(byId("seen"), seen.image);
  const label = +byId("class").value, [found] = networks.encode([seen.image], [label]);
  const rebuilt = networks.decode([[...found.mean]], [label])[0];
  let error = 0;
  rebuilt.forEach((x, i) => { error += (x - seen.image[i]) ** 2 / rebuilt.length; });
  const far = run.usual_error && error > 3 * run.usual_error;
  byId("said").textContent = seen.two
    ? `this seems to be more than one ${run.class_word}`
    : far ? `this is not recognised${run.conditional ? ` as ${run.class_names[label]}` : ""}` : "";
  hand = [...hand.filter((each) => each.added), found];
  setStyle([...together(hand, run.prior_std).mean]);
  return found;
}

/** Put a picture from a file or the clipboard on the pad, its shape kept, and look at it. */
async function takePicture(file) {
  if (!file) return;
  let picture;
  try {
    if (file.size > LARGEST_FILE) throw new RangeError("too large");
    picture = await createImageBitmap(file);
    if (picture.width * picture.height > LARGEST) throw new RangeError("too large");
  } catch (error) {
    byId("said").textContent = error instanceof RangeError
      ? "this picture is too large: make it smaller" : "this is no picture that can be read";
    return;
  }
  clearDrawing();
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const sides = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
  const corner = [(canvas.width - sides[0]) >> 1, (canvas.height - sides[1]) >> 1];
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, ...corner, ...sides);
  // Beside it the pad is as the picture's rim is on average, or paper would end there.
  pen.fillStyle = `rgb(${rimColour(pen.getImageData(...corner, ...sides))})`;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, ...corner, ...sides);
  blank = false;
  look();
}

/** The mean red, green and blue of the outermost pixels. */
function rimColour({data, width, height}) {
  const sums = [0, 0, 0];
  let count = 0;
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
    sums.forEach((_, c) => { sums[c] += data[4 * i + c]; });
    count++;
  }
  return sums.map((sum) => Math.round(sum / count));
}

function forget() {
  hand = [];
  clearDrawing();
  changed();
}

if (run.encoder && run.as_mnist) {
  run.class_names.forEach((name, label) => byId("class").append(new Option(name, label)));
  byId("class").hidden = !run.conditional;
  dragged(canvas, (event) => { at = null; stroke(event); }, stroke, look);
  byId("class").addEventListener("change", look);
  byId("picture").addEventListener("change", () => takePicture(byId("picture").files[0]));
  document.addEventListener("paste", ({clipboardData}) => takePicture(clipboardData.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // or the browser would leave this page for the picture
    takePicture(event.dataTransfer.files[0]);
  });
  byId("clear").addEventListener("click", clearDrawing);
  byId("forget").addEventListener("click", forget);
  byId("add").addEventListener("click", () => {
    const found = look();
    if (!found) return;
    found.added = true;
    clearDrawing();
    const count = hand.filter((each) => each.added).length;
    byId("said").textContent = `${count} in the hand`;
  });
  clearDrawing();
} else byId("drawing").hidden = true;

// --- kept styles, text, files ---------------------------------------------------------------------

function keep() {
  const style = [...state.style], button = document.createElement("button");
  const small = document.createElement("canvas"), few = Math.min(3, labels.length);
  small.width = few * wide;
  small.height = tall;
  networks.decode(Array(few).fill(style), labels.slice(0, few), state.sharpness)
    .forEach((image, i) => small.getContext("2d").putImageData(pixelsOf(image), i * wide, 0));
  kept.push(style);
  button.type = "button";
  button.setAttribute("aria-label", `Kept style ${kept.length}`);
  button.append(small);
  button.addEventListener("click", () => setStyle(style));
  const item = document.createElement("div");
  item.setAttribute("role", "listitem");
  item.append(button);
  byId("kept").append(item);
  byId("blending").hidden = kept.length < 2;
}

function blend() {
  const [one, other] = kept.slice(-2), share = +byId("blend").value;
  setStyle(one.map((x, i) => x + share * (other[i] - x)), false);
}

/** The class that is a character, or else the same in capitals or small letters; −1 for none. */
function classOf(character) {
  const same = run.class_names.indexOf(character), small = character.toLowerCase();
  return same >= 0 ? same : run.class_names.findIndex((name) => name.toLowerCase() === small);
}

/** Images of classes, each in a style drawn from the posterior of itself. */
function varied(classes) {
  const styles = classes.map(() => state.style);
  const images = networks.decode(styles, classes, state.sharpness);
  if (!run.encoder) return images;
  const noise = noiseOf(7);
  const drawn = networks.encode(images, classes).map(({mean, deviation}, i) =>
    deviation.some((d) => d) ? [...mean].map((m, k) => m + deviation[k] * noise()) : styles[i]);
  return networks.decode(drawn, classes, state.sharpness);
}

/** Write what is in the text field, as mnist/figures/text.py sets it. */
function writeText() {
  const line = byId("line"), text = byId("text").value;
  const known = [...text].map((each) => (each === " " ? null : classOf(each))).filter((c) => c !== -1);
  const classes = known.filter((label) => label !== null), images = varied(classes);
  line.hidden = !classes.length;
  if (line.hidden) return;
  const margin = 0.2 * tall, gap = 0.09 * tall, space = 0.4 * tall, placed = [];
  let left = margin;
  for (const label of known) {
    if (label === null) {
      left += space;
      continue;
    }
    const image = images[placed.length], [start, end] = inked(image);
    placed.push({image, left: left - start});
    left += end - start + gap;
  }
  line.width = Math.ceil(left - gap + margin);
  line.height = Math.ceil(tall + 2 * margin);
  line.style.maxWidth = `${3 * line.width}px`;
  line.setAttribute("aria-label", text);
  const context = line.getContext("2d"), small = document.createElement("canvas");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, line.width, line.height);
  context.globalCompositeOperation = "darken";
  for (const {image, left: x} of placed) {
    paint(small, image);
    context.drawImage(small, Math.round(x), Math.round(margin));
  }
}

/** The columns of an image from the first to after the last with ink. */
function inked(image) {
  let start = wide, end = 0;
  for (let i = 0; i < wide * tall; i++)
    if (channels === 1 && image[i] > 0.2) {
      start = Math.min(start, i % wide);
      end = Math.max(end, (i % wide) + 1);
    }
  return end ? [start, end] : [0, wide];
}

/** Standard normal numbers, the same of the same seed (mulberry32, and Box & Muller 1958). */
function noiseOf(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

function save() {
  const across = Math.min(labels.length, 10), down = Math.ceil(labels.length / across), scale = 4;
  const page = document.createElement("canvas"), context = page.getContext("2d");
  page.width = across * wide * scale;
  page.height = down * tall * scale;
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, page.width, page.height);
  written.forEach((image, i) => context.drawImage(
    image, (i % across) * wide * scale, Math.floor(i / across) * tall * scale, wide * scale, tall * scale));
  const link = document.createElement("a");
  link.download = "style.png";
  link.href = page.toDataURL("image/png");
  link.click();
}

const actions = {
  random: () => setStyle(samples[Math.floor(Math.random() * samples.length)]),
  undo: () => step(past, future),
  redo: () => step(future, past),
  keep,
  save,
};
for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
const keys = {r: "random", z: "undo", y: "redo", k: "keep", s: "save"};
document.addEventListener("keydown", (event) => {
  const typing = ["text", "coordinates"].includes(document.activeElement.id);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  actions[keys[event.key]]();
});
byId("blend").addEventListener("pointerdown", remember);
byId("blend").addEventListener("input", blend);
byId("sharpness").addEventListener("input", () => {
  state.sharpness = +byId("sharpness").value;
  changed();
});
byId("coordinates").addEventListener("input", () => {
  const style = styleIn(byId("coordinates").value);
  byId("problem").textContent = style ? "" : `a style is ${run.feature_size} numbers with commas between`;
  if (style) setStyle(style);
});
byId("coordinates").addEventListener("blur", () => {
  byId("problem").textContent = "";
  changed();
});
byId("text").addEventListener("input", writeText);
window.addEventListener("hashchange", () => { restore(); changed(); });

for (const place of document.querySelectorAll(".word")) place.textContent = run.class_word;
byId("about").textContent = run.about;
byId("texts").hidden = !run.conditional || !run.class_names.some((name) => [...name].length === 1);
byId("text").value = run.text;
restore();
draw();
document.documentElement.dataset.ready = "yes";
