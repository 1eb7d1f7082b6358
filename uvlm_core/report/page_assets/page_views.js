// Three slice views. Voxel axes: x rises to patient left, y to posterior, z to superior; the axial image is seen from
// the feet (radiological convention), so that patient right is on the left of the picture.
const axes = {
  axial: {across: 0, down: 1, through: 2, flip: false, letters: ['R', 'L', 'A', 'P']},
  coronal: {across: 0, down: 2, through: 1, flip: true, letters: ['R', 'L', 'S', 'I']},
  sagittal: {across: 1, down: 2, through: 0, flip: true, letters: ['A', 'P', 'S', 'I']},
};
const state = {cursor: [0, 0, 0], level: 40, width: 400, opacity: 0.45, overlay: true, focus: null, sentences: [], ready: false};
const size = [page.shape[2], page.shape[1], page.shape[0]];
const step = [page.spacing[2], page.spacing[1], page.spacing[0]];
const stride = [1, size[0], size[0] * size[1]];
const views = {};
let voxels, masks, hounsfield;

function makeView(canvas) {
  const name = canvas.dataset.view, axis = axes[name];
  const grey = document.createElement('canvas'), paint = document.createElement('canvas');
  for (const layer of [grey, paint]) { layer.width = size[axis.across]; layer.height = size[axis.down]; }
  return {name, axis, canvas, grey, paint, slider: document.querySelector(`[data-slider="${name}"]`),
          place: document.querySelector(`[data-place="${name}"]`), frame: null};
}

function greyTable() {
  const table = new Uint8ClampedArray(256);
  for (let code = 0; code < 256; code++) table[code] = 255 * ((hounsfield[code] - state.level) / state.width + 0.5);
  return table;
}

// Offset of the first voxel of the picture, and steps to its right and down.
function walk(view) {
  const {across, down, through, flip} = view.axis;
  const start = state.cursor[through] * stride[through] + (flip ? (size[down] - 1) * stride[down] : 0);
  return [start, stride[across], flip ? -stride[down] : stride[down]];
}

function paintGrey(view) {
  const table = greyTable(), {grey} = view, image = new ImageData(grey.width, grey.height);
  const [start, right, below] = walk(view), pixels = new Uint32Array(image.data.buffer);
  for (let row = 0, n = 0; row < grey.height; row++)
    for (let column = 0, at = start + row * below; column < grey.width; column++, at += right) {
      const value = table[voxels[at]];
      pixels[n++] = 0xff000000 | value << 16 | value << 8 | value;
    }
  grey.getContext('2d').putImageData(image, 0, 0);
}

// 0 for hidden, otherwise how strongly a voxel of that mask is painted at column x, row y, slice z.
function focused(label, x, y, z) {
  return state.focus.some(box => box.label === label && x >= box.low[0] && x <= box.high[0] && y >= box.low[1] &&
                                 y <= box.high[1] && z >= box.low[2] && z <= box.high[2]);
}

function paintMasks(view) {
  const {paint, axis} = view, context = paint.getContext('2d'), image = new ImageData(paint.width, paint.height);
  const [start, right, below] = walk(view), data = image.data, place = [0, 0, 0];
  place[axis.through] = state.cursor[axis.through];
  let shown = 0;
  for (let row = 0; row < paint.height; row++) {
    place[axis.down] = axis.flip ? size[axis.down] - 1 - row : row;
    for (let column = 0, at = start + row * below; column < paint.width; column++, at += right) {
      const label = masks[at];
      if (!label) continue;
      place[axis.across] = column;
      const look = page.labels[label], n = 4 * (row * paint.width + column);
      let alpha = look.lesion ? 1.25 * state.opacity : 0.5 * state.opacity;
      const edge = (column > 0 && masks[at - right] !== label) || (column < paint.width - 1 && masks[at + right] !== label) ||
                   (row > 0 && masks[at - below] !== label) || (row < paint.height - 1 && masks[at + below] !== label);
      if (state.focus) {
        const inside = focused(label, ...place);
        if (inside) shown++;
        alpha = inside ? (edge ? 1 : 1.1 * state.opacity + 0.1) : 0.12 * state.opacity;
      } else if (edge) alpha *= 1.5;
      data[n] = look.color[0]; data[n + 1] = look.color[1]; data[n + 2] = look.color[2];
      data[n + 3] = 255 * Math.min(1, alpha);
    }
  }
  context.putImageData(image, 0, 0);
  view.canvas.dataset.highlighted = shown;
}

function draw(view) {
  const {canvas, grey, paint, axis} = view, ratio = window.devicePixelRatio || 1;
  const wide = Math.max(1, Math.round(canvas.clientWidth * ratio)), high = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  const context = canvas.getContext('2d');
  context.fillStyle = '#000'; context.fillRect(0, 0, wide, high);
  const mmWide = grey.width * step[axis.across], mmHigh = grey.height * step[axis.down];
  const scale = Math.min(wide / mmWide, high / mmHigh);
  const frame = {left: (wide - mmWide * scale) / 2, top: (high - mmHigh * scale) / 2, wide: mmWide * scale, high: mmHigh * scale};
  view.frame = frame;
  paintGrey(view);
  context.imageSmoothingEnabled = true; context.imageSmoothingQuality = 'high';
  context.drawImage(grey, frame.left, frame.top, frame.wide, frame.high);
  canvas.dataset.highlighted = 0;
  if (state.overlay) {
    paintMasks(view);
    context.drawImage(paint, frame.left, frame.top, frame.wide, frame.high);
  }
  drawCross(view, context, ratio);
  drawLetters(view, context, ratio);
  view.slider.value = state.cursor[axis.through];
  canvas.dataset.slice = state.cursor[axis.through];
  view.place.textContent = `${state.cursor[axis.through] + 1} / ${size[axis.through]}`;
}

function drawCross(view, context, ratio) {
  const {axis, frame} = view, [x, y] = onPicture(view), gap = 14 * ratio;
  context.strokeStyle = 'rgb(125 211 240 / .55)'; context.lineWidth = ratio;
  context.beginPath();
  for (const [x0, y0, x1, y1] of [[frame.left, y, x - gap, y], [x + gap, y, frame.left + frame.wide, y],
                                  [x, frame.top, x, y - gap], [x, y + gap, x, frame.top + frame.high]]) {
    if (x1 < x0 || y1 < y0) continue;
    context.moveTo(x0, y0); context.lineTo(x1, y1);
  }
  context.stroke();
}

function onPicture(view) {
  const {axis, frame} = view;
  const row = axis.flip ? size[axis.down] - 1 - state.cursor[axis.down] : state.cursor[axis.down];
  return [frame.left + (state.cursor[axis.across] + 0.5) / size[axis.across] * frame.wide,
          frame.top + (row + 0.5) / size[axis.down] * frame.high];
}

function drawLetters(view, context, ratio) {
  const {canvas, axis} = view, [left, right, top, bottom] = axis.letters, edge = 7 * ratio;
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.fillStyle = '#dfe8ee'; context.shadowColor = '#000'; context.shadowBlur = 4 * ratio;
  context.textBaseline = 'middle'; context.textAlign = 'left'; context.fillText(left, edge, canvas.height / 2);
  context.textAlign = 'right'; context.fillText(right, canvas.width - edge, canvas.height / 2);
  context.textAlign = 'center'; context.textBaseline = 'top'; context.fillText(top, canvas.width / 2, edge);
  context.textBaseline = 'bottom'; context.fillText(bottom, canvas.width / 2, canvas.height - edge);
  context.shadowBlur = 0;
}

let waiting = false;
function redraw() {
  if (waiting || !state.ready) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; Object.values(views).forEach(draw); readout(); });
}

function labelAtCursor() { return masks[state.cursor[0] + state.cursor[1] * stride[1] + state.cursor[2] * stride[2]]; }

function readout() {
  const [r, a, s] = toRas(...state.cursor);
  const letter = (value, plus, minus) => `${value >= 0 ? plus : minus} ${Math.abs(value).toFixed(0)}`;
  const value = hounsfield[voxels[state.cursor[0] + state.cursor[1] * stride[1] + state.cursor[2] * stride[2]]];
  document.getElementById('position').textContent =
    `${letter(r, 'R', 'L')} · ${letter(a, 'A', 'P')} · ${letter(s, 'S', 'I')} mm · about ${Math.round(value / 5) * 5} HU`;
  const label = labelAtCursor();
  document.getElementById('under').textContent = label ? page.labels[label].title : '';
}

function move(axis, value) {
  state.cursor[axis] = Math.min(size[axis] - 1, Math.max(0, value));
  redraw();
}
