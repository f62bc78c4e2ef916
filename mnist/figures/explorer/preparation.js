// A drawing, made into an image such as MNIST's: mnist/data/scan.py again, function by function and
// in the same order of additions, so that both make the same image of the same pixels. A field is
// {height, width, data}, its data in rows.

const SIDE = 28, BOX = 20; // pixels of an image, and of a digit's longer side
const THINNEST = 1.8; // pixels, of a digit's strokes in its box
const HIGH = 0.5, GAP = 0.08; // of two digits: relative to the higher one

/** The digit in grey levels of any range: {image: Float32Array [28 × 28] or null, two}. */
function prepare(levels) {
  const {ink, two} = findInk(levels);
  return {image: ink && inTheMiddle(inABox(thickened(ink))), two};
}

function findInk(levels) {
  const [low, high] = extremes(levels.data);
  if (low === high) return {ink: null, two: false};
  const page = pageInFrame(levels);
  if (page) levels = cut(levels, ...page);
  const edge = rim(levels);
  const tone = paper(levels);
  let ink = map(levels, (level, i) => level - tone[i]);
  const [least, most] = extremes(ink.data);
  if (most < -least) ink = map(ink, (x) => -x); // dark on light
  let found = digitIn(ink, edge, false);
  if (!found || !rimIsPaper(levels, edge)) {
    const everywhere = new Uint8Array(edge.length).fill(1);
    found = digitIn(aboveSurroundings(levels), everywhere, true) || found;
  }
  return found || {ink: null, two: false};
}

/** What stands out, cut to its size and in [0, 1], and whether that may be two digits; or null. */
function digitIn(ink, around, inside) {
  const {height, width} = ink;
  const there = (field) => field.data.filter((_, i) => around[i]);
  const grain = 4 * deviation(there(ink));
  const smooth = gaussian(ink, Math.max(height, width) / 100);
  const top = extremes(smooth.data)[1];
  const largest = ink.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  if (top <= Math.max(6 * deviation(there(smooth)), 1e-6 * largest)) return null;
  const threshold = Math.max(otsu(smooth.data), Math.min(grain, 0.5 * top));
  const {parts, count} = label(map(smooth, (x) => x > threshold), true);
  let kept = withoutFrames(parts, count, inside);
  if (!kept.length) return null;
  const sizes = sizesOf(parts, count);
  const largestPart = Math.max(...kept.map((part) => sizes[part]));
  kept = kept.filter((part) => sizes[part] >= 0.05 * largestPart); // without specks
  const isKept = new Set(kept);
  const digit = map(parts, (part) => isKept.has(part));
  let pen = ink.data.filter((x, i) => digit.data[i] && x > threshold);
  if (!pen.length) pen = ink.data.filter((_, i) => digit.data[i]);
  const full = percentile(pen, 0.75), low = Math.min(threshold / 2, grain / 2);
  if (full <= low) return null;
  const near = dilated(dilated(digit));
  const clipped = map(ink, (x, i) =>
    near.data[i] ? Math.min(Math.max((x - low) / (full - low), 0), 1) : 0);
  let rows = [Infinity, -1], columns = [Infinity, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (clipped.data[y * width + x] > 0.25) {
        rows = [Math.min(rows[0], y), Math.max(rows[1], y)];
        columns = [Math.min(columns[0], x), Math.max(columns[1], x)];
      }
  if (rows[1] < 0) return null;
  const box = cut(clipped, rows[0], rows[1] + 1, columns[0], columns[1] + 1);
  return {ink: box, two: areTwo(parts, count, kept)};
}

/** The numbers of those parts that are no frame about others. */
function withoutFrames(parts, count, inside) {
  const {height, width, data} = parts;
  const touching = new Set(), deepest = new Float64Array(count + 1);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const part = data[y * width + x];
      const depth = Math.min(y, height - 1 - y, x, width - 1 - x);
      if (depth === 0) touching.add(part);
      deepest[part] = Math.max(deepest[part], depth);
    }
  if (!inside) // only what lies along the edge
    for (const part of [...touching])
      if (deepest[part] >= Math.min(height, width) / 8) touching.delete(part);
  const sizes = sizesOf(parts, count);
  let kept = [];
  for (let part = 1; part <= count; part++) kept.push(part);
  const inner = kept.filter((part) => !touching.has(part));
  const largest = (some) => Math.max(...some.map((part) => sizes[part]));
  if (inside || (inner.length && largest(inner) > 0.2 * largest(kept))) kept = inner;
  const boxes = boxesOf(parts, count), tall = (part) => boxes[part].bottom - boxes[part].top;
  for (const part of [...kept].sort((a, b) => tall(b) - tall(a)).slice(0, 3)) {
    const filled = withoutHoles(map(parts, (each) => each === part));
    let highest = 0;
    for (let i = 0; i < data.length; i++)
      if (filled.data[i] && data[i] && data[i] !== part)
        highest = Math.max(highest, tall(data[i]));
    // No digit has a part in its loop that is near as high as itself.
    if (highest > 0.25 * tall(part)) kept = kept.filter((each) => each !== part);
  }
  return kept;
}

/** Whether parts of ink are rather two digits than one in pieces. */
function areTwo(parts, count, kept) {
  const boxes = boxesOf(parts, count), tall = (part) => boxes[part].bottom - boxes[part].top;
  const tallest = Math.max(...kept.map(tall));
  const high = kept.filter((part) => tall(part) >= HIGH * tallest);
  if (high.length < 2) return false;
  return high.some((part) => {
    const others = new Set(kept.filter((each) => each !== part));
    const far = distance(map(parts, (each) => !others.has(each)));
    let least = Infinity;
    parts.data.forEach((each, i) => {
      if (each === part) least = Math.min(least, far[i]);
    });
    return least >= GAP * tallest;
  });
}

/** Where in a frame a page lies straight: [top, bottom, left, right] or null. */
function pageInFrame(levels) {
  const edge = rim(levels), threshold = otsu(levels.data);
  const light = map(levels, (level) => level > threshold);
  const page = meanWhere(light.data, edge) < 0.5 ? light : map(light, (x) => !x);
  const {parts, count} = label(withoutHoles(page), false);
  if (!count) return null;
  const inPage = new Float64Array(count + 1);
  parts.data.forEach((part, i) => { inPage[part] += page.data[i]; });
  let largest = 1;
  for (let part = 2; part <= count; part++) if (inPage[part] > inPage[largest]) largest = part;
  const box = boxesOf(parts, count)[largest];
  const margin = 1 + Math.floor(Math.max(levels.height, levels.width) / 100);
  const inner = [box.top + margin, box.bottom - margin, box.left + margin, box.right - margin];
  const large = inner[1] - inner[0] > levels.height / 2 && inner[3] - inner[2] > levels.width / 2;
  let filled = 0;
  for (let y = box.top; y < box.bottom; y++)
    for (let x = box.left; x < box.right; x++) filled += parts.data[y * parts.width + x] === largest;
  const area = (box.bottom - box.top) * (box.right - box.left);
  return large && filled / area >= 0.95 ? inner : null;
}

function rimIsPaper(levels, edge) {
  const threshold = otsu(levels.data), light = levels.data.map((level) => level > threshold);
  const everywhere = light.reduce((sum, x) => sum + x, 0) / light.length;
  return meanWhere(light, edge) > 0.5 === everywhere > 0.5;
}

/** By how much each pixel differs from the paper near it, in the direction that is ink's. */
function aboveSurroundings(levels) {
  const threshold = otsu(levels.data);
  const share = levels.data.reduce((sum, x) => sum + (x > threshold), 0) / levels.data.length;
  if (share < 0.5) levels = map(levels, (x) => -x);
  const longest = Math.max(levels.height, levels.width);
  const smooth = gaussian(levels, longest / 200);
  const near = Math.floor(longest / 3);
  // A closing: what is narrower than so many pixels is filled up to its surroundings.
  const closed = extremeFilter(extremeFilter(smooth, near, Math.max), near, Math.min, true);
  const ink = map(closed, (x, i) => x - levels.data[i]);
  const middle = percentile(ink.data, 0.5);
  return map(ink, (x) => x - middle);
}

/** The tone that each pixel would have without ink: a plane through the rim. */
function paper(levels) {
  const {height, width, data} = levels, longest = Math.max(height, width);
  let asked = rim(levels);
  const plane = new Float64Array(data.length);
  for (let round = 0; round < 3; round++) {
    const normal = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];
    asked.forEach((yes, i) => {
      if (!yes) return;
      const row = [1, (i % width) / longest, Math.floor(i / width) / longest, data[i]];
      for (let a = 0; a < 3; a++) for (let b = 0; b < 4; b++) normal[a][b] += row[a] * row[b];
    });
    const [level, right, down] = solved(normal);
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++)
        plane[i] = level + (right * x) / longest + (down * y) / longest;
    const far = data.map((level, i) => Math.abs(level - plane[i]));
    const bound = Math.max(3 * percentile(far.filter((_, i) => asked[i]), 0.5), 1e-9);
    const near = asked.map((yes, i) => yes && far[i] <= bound);
    if (near.reduce((sum, x) => sum + x, 0) < 8) break;
    asked = near;
  }
  return plane;
}

/** The solution of three linear equations [[a, b, c, right], ...], by elimination. */
function solved(rows) {
  const m = rows.map((row) => [...row]);
  for (let i = 0; i < 3; i++) {
    let pivot = i;
    for (let r = i + 1; r < 3; r++) if (Math.abs(m[r][i]) > Math.abs(m[pivot][i])) pivot = r;
    [m[i], m[pivot]] = [m[pivot], m[i]];
    if (Math.abs(m[i][i]) < 1e-12) continue; // a direction that the rim says nothing of
    for (let r = 0; r < 3; r++) {
      if (r === i) continue;
      const factor = m[r][i] / m[i][i];
      for (let k = i; k < 4; k++) m[r][k] -= factor * m[i][k];
    }
  }
  return m.map((row, i) => (Math.abs(row[i]) < 1e-12 ? 0 : row[3] / row[i]));
}

/** Ink with strokes not thinner than MNIST's, once it is scaled into its box. */
function thickened(ink) {
  const mask = map(ink, (x) => x > 0.5);
  const pixels = mask.data.reduce((sum, x) => sum + x, 0);
  if (!pixels) return ink;
  const padded = pad(mask, 1), inside = distance(padded);
  let sum = 0;
  padded.data.forEach((yes, i) => { if (yes) sum += inside[i] - 0.5; });
  const width = 4 * (sum / pixels), length = Math.max(ink.height, ink.width);
  const more = (THINNEST * length - BOX * width) / (2 * (BOX - THINNEST));
  if (more <= 0) return ink;
  const margin = Math.ceil(more);
  const far = distance(map(pad(mask, margin), (yes) => !yes));
  return map(pad(ink, margin), (x, i) =>
    Math.max(x, Math.min(Math.max(more + 0.5 - far[i], 0), 1)));
}

/** Ink scaled so that its longer side has 20 pixels, as Pillow's bicubic filter does. */
function inABox(ink) {
  const scale = BOX / Math.max(ink.height, ink.width);
  const [height, width] = [ink.height, ink.width].map((side) =>
    Math.max(1, halfToEven(side * scale)));
  const across = Math.max(1, Math.floor(ink.width / width / 3));
  const down = Math.max(1, Math.floor(ink.height / height / 3));
  const small = across > 1 || down > 1 ? reduced(ink, across, down) : ink;
  const wide = resampled(small, width, ink.width / across);
  const turned = transposed(resampled(transposed(wide), height, ink.height / down));
  return map(turned, (x) => Math.min(Math.max(x, 0), 1));
}

/** Means of blocks of so many pixels, fewer at the end. */
function reduced(field, across, down) {
  const width = Math.ceil(field.width / across), height = Math.ceil(field.height / down);
  const data = new Float64Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const bottom = Math.min((y + 1) * down, field.height);
      const right = Math.min((x + 1) * across, field.width);
      let sum = 0, count = 0;
      for (let v = y * down; v < bottom; v++)
        for (let u = x * across; u < right; u++, count++) sum += field.data[v * field.width + u];
      data[y * width + x] = Math.fround(sum / count);
    }
  return {height, width, data};
}

/** Rows of a field scaled to so many pixels, of which it has `length` at its own scale. */
function resampled(field, size, length) {
  const scale = length / size, stretch = Math.max(scale, 1), support = 2 * stretch;
  const data = new Float64Array(field.height * size);
  for (let x = 0; x < size; x++) {
    const centre = (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const last = Math.min(field.width, Math.floor(centre + support + 0.5));
    const weights = [];
    for (let i = first; i < last; i++) weights.push(bicubic((i - centre + 0.5) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let y = 0; y < field.height; y++) {
      let sum = 0;
      weights.forEach((weight, i) => {
        sum += field.data[y * field.width + first + i] * (weight / total);
      });
      data[y * size + x] = Math.fround(sum);
    }
  }
  return {height: field.height, width: size, data};
}

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Put into a field of 28×28, its centre of mass in the middle: Float32Array. */
function inTheMiddle(digit) {
  const {height, width, data} = digit;
  const place = (length, mass) => {
    let sum = 0, total = 0;
    for (let i = 0; i < length; i++) {
      sum += mass(i) * (i + 0.5);
      total += mass(i);
    }
    // MNIST's own digits have theirs half a pixel beyond the middle.
    return Math.min(Math.max(halfToEven(SIDE / 2 + 0.5 - sum / total), 0), SIDE - length);
  };
  const rowMass = new Float64Array(height), columnMass = new Float64Array(width);
  data.forEach((x, i) => {
    rowMass[Math.floor(i / width)] += x;
    columnMass[i % width] += x;
  });
  const top = place(height, (i) => rowMass[i]), left = place(width, (i) => columnMass[i]);
  const field = new Float32Array(SIDE * SIDE);
  data.forEach((x, i) => {
    field[(top + Math.floor(i / width)) * SIDE + left + (i % width)] = x;
  });
  return field;
}

// --- what SciPy and NumPy have ---------------------------------------------------------------------

function map({height, width, data}, change) {
  const out = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = change(data[i], i);
  return {height, width, data: out};
}

function extremes(numbers) {
  let least = Infinity, most = -Infinity;
  for (const x of numbers) {
    if (x < least) least = x;
    if (x > most) most = x;
  }
  return [least, most];
}

function meanWhere(numbers, where) {
  let sum = 0, count = 0;
  where.forEach((yes, i) => {
    if (yes) { sum += numbers[i]; count++; }
  });
  return sum / count;
}

function cut(field, top, bottom, left, right) {
  const height = bottom - top, width = right - left, data = new Float64Array(height * width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      data[y * width + x] = field.data[(top + y) * field.width + left + x];
  return {height, width, data};
}

function pad(field, margin) {
  const height = field.height + 2 * margin, width = field.width + 2 * margin;
  const data = new Float64Array(height * width);
  for (let y = 0; y < field.height; y++)
    for (let x = 0; x < field.width; x++)
      data[(y + margin) * width + x + margin] = field.data[y * field.width + x];
  return {height, width, data};
}

function transposed({height, width, data}) {
  const turned = new Float64Array(data.length);
  data.forEach((x, i) => { turned[(i % width) * height + Math.floor(i / width)] = x; });
  return {height: width, width: height, data: turned};
}

/** Which pixels are near the edge. */
function rim({height, width}) {
  const edge = Math.max(1, halfToEven(0.04 * Math.min(height, width)));
  const near = new Uint8Array(height * width).fill(1);
  for (let y = edge; y < height - edge; y++)
    near.fill(0, y * width + edge, (y + 1) * width - edge);
  return near;
}

function halfToEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

/** Of numbers the one below which this share of them is, interpolated as numpy.percentile does. */
function percentile(numbers, share) {
  const sorted = Float64Array.from(numbers).sort(), at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)], high = sorted[Math.min(Math.floor(at) + 1, sorted.length - 1)];
  const t = at - Math.floor(at);
  return t < 0.5 ? low + (high - low) * t : high - (high - low) * (1 - t);
}

function deviation(numbers) {
  return 1.4826 * percentile(numbers.map(Math.abs), 0.5);
}

/** The threshold that parts numbers into two groups as far apart as can be (Otsu 1979). */
function otsu(values) {
  const bins = 256, [low, high] = extremes(values), counts = new Float64Array(bins);
  const edge = (i) => (i === bins ? high : low + i * ((high - low) / bins));
  for (const x of values) {
    let bin = Math.min(Math.floor(((x - low) / (high - low)) * bins), bins - 1);
    if (x < edge(bin)) bin--;
    else if (bin < bins - 1 && x >= edge(bin + 1)) bin++;
    counts[bin]++;
  }
  const middle = (i) => (edge(i) + edge(i + 1)) / 2;
  let below = 0, sum = 0, total = 0, every = 0;
  counts.forEach((count, i) => { every += count; total += count * middle(i); });
  let best = -Infinity, threshold = middle(0);
  counts.forEach((count, i) => {
    below += count;
    sum += count * middle(i);
    const above = every - below;
    const apart = below * above * (sum / below - (total - sum) / above) ** 2;
    if (apart > best) { // never of a NaN, where one of them is empty
      best = apart;
      threshold = middle(i);
    }
  });
  return threshold;
}

/** scipy.ndimage.gaussian_filter: first along columns, then along rows. */
function gaussian(field, sigma) {
  const radius = Math.floor(4 * sigma + 0.5), weights = [];
  for (let i = -radius; i <= radius; i++) weights.push(Math.exp((-0.5 / (sigma * sigma)) * i * i));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kernel = weights.map((weight) => weight / total);
  const along = ({height, width, data}) => {
    const out = new Float64Array(data.length), row = new Float64Array(width + 2 * radius);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < row.length; x++) row[x] = data[y * width + reflected(x - radius, width)];
      for (let x = 0; x < width; x++) {
        const middle = x + radius;
        let sum = row[middle] * kernel[radius];
        for (let i = radius; i > 0; i--)
          sum += (row[middle - i] + row[middle + i]) * kernel[radius - i];
        out[y * width + x] = sum;
      }
    }
    return {height, width, data: out};
  };
  return along(transposed(along(transposed(field))));
}

/** An index beyond the ends, as if the field went on in a mirror. */
function reflected(i, length) {
  const period = 2 * length;
  const inside = ((i % period) + period) % period;
  return inside < length ? inside : period - 1 - inside;
}

/** The extreme of a square of so many pixels about each. */
function extremeFilter(field, size, extreme, second = false) {
  // Of an even size the middle is the pixel after it, and before it the second time.
  const before = second ? size - 1 - Math.floor(size / 2) : Math.floor(size / 2);
  const along = ({height, width, data}) => {
    const out = new Float64Array(data.length);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        let found = data[y * width + reflected(x - before, width)];
        for (let i = 1; i < size; i++)
          found = extreme(found, data[y * width + reflected(x - before + i, width)]);
        out[y * width + x] = found;
      }
    return {height, width, data: out};
  };
  return transposed(along(transposed(along(field))));
}

/** Connected parts, numbered from 1: {parts, count}; over corners too, or over sides only. */
function label(mask, corners) {
  const {height, width, data} = mask, parts = new Float64Array(data.length);
  let count = 0;
  for (let start = 0; start < data.length; start++) {
    if (!data[start] || parts[start]) continue;
    parts[start] = ++count;
    const todo = [start];
    while (todo.length) {
      const i = todo.pop(), y = Math.floor(i / width), x = i % width;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++)
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const j = v * width + u;
          if ((corners || v === y || u === x) && data[j] && !parts[j]) {
            parts[j] = count;
            todo.push(j);
          }
        }
    }
  }
  return {parts: {height, width, data: parts}, count};
}

function sizesOf(parts, count) {
  const sizes = new Float64Array(count + 1);
  parts.data.forEach((part) => { sizes[part]++; });
  return sizes;
}

/** Of each part the rows and columns from the first to after the last. */
function boxesOf({width, data}, count) {
  const boxes = Array.from({length: count + 1}, () =>
    ({top: Infinity, bottom: 0, left: Infinity, right: 0}));
  data.forEach((part, i) => {
    const box = boxes[part], y = Math.floor(i / width), x = i % width;
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
  });
  return boxes;
}

/** A mask, and what no way over sides leads out of. */
function withoutHoles(mask) {
  const around = pad(map(mask, (yes) => !yes), 1);
  for (let i = 0; i < around.data.length; i++) {
    const y = Math.floor(i / around.width), x = i % around.width;
    if (y === 0 || x === 0 || y === around.height - 1 || x === around.width - 1) around.data[i] = 1;
  }
  const {parts} = label(around, false); // the first is outside
  const outside = cut(parts, 1, around.height - 1, 1, around.width - 1);
  return map(outside, (part) => part !== 1);
}

function dilated({height, width, data}) {
  const out = Float64Array.from(data);
  data.forEach((yes, i) => {
    if (!yes) return;
    const y = Math.floor(i / width), x = i % width;
    if (y > 0) out[i - width] = 1;
    if (y < height - 1) out[i + width] = 1;
    if (x > 0) out[i - 1] = 1;
    if (x < width - 1) out[i + 1] = 1;
  });
  return {height, width, data: out};
}

/** Euclidean distance of each pixel of a mask to the nearest that is none (0 there). */
function distance({height, width, data}) {
  const far = height + width, squared = new Float64Array(data.length);
  for (let x = 0; x < width; x++) {
    // Along columns first: down, then up.
    let near = far;
    for (let y = 0; y < height; y++) {
      near = data[y * width + x] ? near + 1 : 0;
      squared[y * width + x] = near;
    }
    near = far;
    for (let y = height - 1; y >= 0; y--) {
      near = data[y * width + x] ? near + 1 : 0;
      squared[y * width + x] = Math.min(squared[y * width + x], near) ** 2;
    }
  }
  const out = new Float64Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let least = squared[y * width + x];
      for (let d = 1; d * d < least; d++) {
        if (x >= d) least = Math.min(least, squared[y * width + x - d] + d * d);
        if (x + d < width) least = Math.min(least, squared[y * width + x + d] + d * d);
      }
      out[y * width + x] = Math.sqrt(least);
    }
  return out;
}
