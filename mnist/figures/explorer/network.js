// Networks of perceptrons: mnist/networks/encoder.py and decoder.py again, in evaluation mode.

const COLUMNS = 12; // that a layer takes at once

/** Room for numbers of WebAssembly, and layer.wat; without its SIMD the same in JavaScript. */
class Engine {
  constructor(numbers, wasm) {
    const pages = Math.ceil((4 * numbers) / 65536);
    this.used = 0;
    try {
      this.memory = new WebAssembly.Memory({initial: pages});
      const module = new WebAssembly.Module(wasm);
      this.wasm = new WebAssembly.Instance(module, {explorer: {memory: this.memory}}).exports;
      this.numbers = new Float32Array(this.memory.buffer);
    } catch {
      this.wasm = null;
      this.numbers = new Float32Array(numbers);
    }
  }

  /** Room for so many numbers: a Float32Array. */
  room(count) {
    const start = this.used;
    this.used += count;
    return this.numbers.subarray(start, this.used);
  }

  /** out [J, 12] = bias [J] + weights [J, K] in [K, 12]. */
  layer(weights, bias, input, out) {
    const rows = bias.length, inner = weights.length / rows;
    if (this.wasm) {
      const places = [weights, bias, input, out].map((array) => array.byteOffset);
      this.wasm.layer(...places, inner, rows);
      return;
    }
    for (let j = 0; j < rows; j++)
      for (let column = 0; column < COLUMNS; column++) {
        let sum = bias[j];
        for (let k = 0; k < inner; k++) sum += weights[j * inner + k] * input[k * COLUMNS + column];
        out[j * COLUMNS + column] = sum;
      }
  }
}

/** Layers with an activation between them. */
class Perceptron {
  constructor(engine, layers, activation) {
    this.engine = engine;
    this.activation = ACTIVATIONS[activation];
    this.layers = layers.map(({outputs, inputs, weights, scales, bias}) => ({
      weights: unpacked(weights, floats(scales), inputs, engine.room(outputs * inputs)),
      bias: filled(engine.room(outputs), floats(bias)),
      out: engine.room(outputs * COLUMNS),
    }));
    this.input = engine.room(layers[0].inputs * COLUMNS);
  }

  /** What the last layer has seen, [inputs, 12]. */
  get hidden() {
    return this.layers[this.layers.length - 2].out;
  }

  /** Numbers that some layers need in all. */
  static room(layers) {
    const each = layers.map(({inputs, outputs}) => outputs * (inputs + 1 + COLUMNS));
    return each.reduce((sum, count) => sum + count, layers[0].inputs * COLUMNS);
  }

  /** The last layer's numbers [outputs, 12] of what is in `input` [inputs, 12]. */
  forward() {
    let input = this.input;
    this.layers.forEach(({weights, bias, out}, i) => {
      this.engine.layer(weights, bias, input, out);
      if (i < this.layers.length - 1) this.activation(out);
      input = out;
    });
    return input;
  }
}

/** A run's decoder and encoder. */
class Networks {
  constructor(run) {
    const every = [run.decoder, run.encoder].filter((each) => each);
    const widths = every.filter((each) => each.width);
    const numbers = every.reduce((sum, each) => sum + Perceptron.room(each.layers), 0)
      + widths.reduce((sum, each) => sum + Perceptron.room([each.width]), 0);
    this.run = run;
    this.engine = new Engine(numbers, bytes(run.wasm));
    this.decoder = new Perceptron(this.engine, run.decoder.layers, run.decoder.activation);
    if (!run.encoder) return;
    this.encoder = new Perceptron(this.engine, run.encoder.layers, run.encoder.activation);
    if (run.encoder.width) this.width = new Perceptron(this.engine, [run.encoder.width], "none");
  }

  /** Images, Float32Array [pixels] in [0, 1] each, of styles as these classes. */
  decode(styles, labels, sharpness = 1) {
    const images = [], {feature_size: size, pixels, decoder: {scale}} = this.run;
    for (let first = 0; first < styles.length; first += COLUMNS) {
      const some = styles.slice(first, first + COLUMNS), {input} = this.decoder;
      input.fill(0);
      some.forEach((style, column) => {
        for (let i = 0; i < size; i++) input[i * COLUMNS + column] = scale * style[i];
        if (!this.run.conditional) return;
        const label = labels[first + column];
        input[(size + label) * COLUMNS + column] = 1;
        if (this.run.decoder.of_classes) {
          const own = size + this.run.class_names.length + label * size;
          for (let i = 0; i < size; i++) input[(own + i) * COLUMNS + column] = scale * style[i];
        }
      });
      const logits = this.decoder.forward();
      some.forEach((_, column) => {
        const image = new Float32Array(pixels);
        for (let i = 0; i < pixels; i++)
          image[i] = 1 / (1 + Math.exp(-sharpness * logits[i * COLUMNS + column]));
        images.push(image);
      });
    }
    return images;
  }

  /** What images [pixels] of classes leave open of their styles: {mean, deviation} [N] each. */
  encode(images, labels) {
    const found = [], {feature_size: size, pixels} = this.run;
    const {std, least, most, standardise} = this.run.encoder, {input} = this.encoder;
    for (let first = 0; first < images.length; first += COLUMNS) {
      const some = images.slice(first, first + COLUMNS);
      input.fill(0);
      some.forEach((image, column) => {
        for (let i = 0; i < pixels; i++) input[i * COLUMNS + column] = image[i];
        if (this.run.conditional) input[(pixels + labels[first + column]) * COLUMNS + column] = 1;
      });
      const raw = this.encoder.forward();
      if (this.width) this.width.input.set(this.encoder.hidden);
      const open = this.width && this.width.forward();
      some.forEach((_, column) => {
        const mean = new Float64Array(size), deviation = new Float64Array(size);
        for (let i = 0, at = column; i < size; i++, at += COLUMNS) {
          const standard = standardise
            ? (raw[at] - standardise.mean[i]) / Math.sqrt(standardise.variance[i] + standardise.epsilon)
            : raw[at];
          const sigma = open ? least + (most - least) * sigmoid(open[at]) : 0;
          mean[i] = std * Math.sqrt(1 - sigma * sigma) * standard;
          deviation[i] = std * sigma;
        }
        found.push({mean, deviation});
      });
    }
    return found;
  }
}

/** The style that images share, as product_of_posteriors in mnist/latent/two_covariance.py. */
function together(posteriors, std) {
  if (posteriors.length === 1) return posteriors[0];
  const prior = 1 / std ** 2, mean = [], deviation = [];
  for (let i = 0; i < posteriors[0].mean.length; i++) {
    const points = posteriors.some((one) => !one.deviation[i]);
    const weights = posteriors.map((one) => (points ? 1 : one.deviation[i] ** -2));
    const precision = points ? weights.length
      : weights.reduce((sum, weight) => sum + Math.max(weight - prior, 0), prior);
    mean.push(posteriors.reduce((sum, one, k) => sum + one.mean[i] * weights[k], 0) / precision);
    deviation.push(points ? 0 : precision ** -0.5);
  }
  return {mean, deviation};
}

function filled(array, numbers) {
  array.set(numbers);
  return array;
}

const ACTIVATIONS = {
  none: () => {},
  relu: (numbers) => {
    for (let i = 0; i < numbers.length; i++) if (numbers[i] < 0) numbers[i] = 0;
  },
  gelu: (numbers) => {
    for (let i = 0; i < numbers.length; i++) {
      const x = numbers[i];
      // Beyond six deviations it is x or 0 to float32's last bit.
      numbers[i] = x > 6 ? x : x < -6 ? 0 : 0.5 * x * (1 + erf(x * Math.SQRT1_2));
    }
  },
};

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** The error function, to 1.5e-7: Abramowitz & Stegun 1964, 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    + 0.254829592) * t;
  const found = 1 - series * Math.exp(-x * x);
  return x < 0 ? -found : found;
}

// --- out of text ----------------------------------------------------------------------------------

function bytes(base64) {
  const text = atob(base64), found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

/** Little-endian float32. */
function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}

/** Numbers from 0 to 1 in sixteen steps, two in a byte. */
function levels(base64) {
  const packed = bytes(base64), found = new Float32Array(2 * packed.length);
  for (let i = 0; i < found.length; i++)
    found[i] = (i & 1 ? packed[i >> 1] >> 4 : packed[i >> 1] & 15) / 15;
  return found;
}

/** Weights of 12 bits each, two in three bytes, from −2047 to 2047 times the scale of their row. */
function unpacked(base64, scales, inputs, out) {
  const packed = bytes(base64);
  for (let row = 0, i = 0; row < scales.length; row++)
    for (let column = 0; column < inputs; column++, i++) {
      const at = 3 * (i >> 1);
      const steps = i & 1
        ? (packed[at + 1] >> 4) | (packed[at + 2] << 4)
        : packed[at] | ((packed[at + 1] & 15) << 8);
      out[i] = (steps - 2048) * scales[row];
    }
  return out;
}
