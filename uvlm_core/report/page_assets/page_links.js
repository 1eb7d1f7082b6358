// Sentence <-> mask <-> finding: what is selected, and how clicks and keys change it.
const byId = Object.fromEntries(page.segments.map(segment => [segment.id, segment]));
const sentenceById = Object.fromEntries(page.sentences.map(sentence => [sentence.id, sentence]));

function boxOf(segment) {
  const corners = [];
  for (let n = 0; n < 8; n++) {
    const corner = [0, 1, 2].map(axis => segment.bbox[n >> axis & 1][axis]);
    corners.push(page.rasToIjk.slice(0, 3).map(row => row[0] * corner[0] + row[1] * corner[1] + row[2] * corner[2] + row[3]));
  }
  const low = [0, 1, 2].map(axis => Math.floor(Math.min(...corners.map(corner => corner[axis])) - 0.5));
  const high = [0, 1, 2].map(axis => Math.ceil(Math.max(...corners.map(corner => corner[axis])) + 0.5));
  return {label: segment.label, low, high};
}

function mark(selector, chosen) {
  for (const element of document.querySelectorAll(selector)) {
    const on = chosen(element);
    element.classList.toggle('active', on);
    const button = element.hasAttribute('aria-pressed') ? element : element.querySelector('button');
    if (button) button.setAttribute('aria-pressed', on);
  }
}

// Shows segments (ids) and lights up sentences (ids) and findings (names); `point` is RAS mm or null.
function select(segmentIds, sentenceIds, findingNames, point, announcement) {
  const segments = segmentIds.map(id => byId[id]).filter(Boolean);
  state.focus = segments.length ? segments.map(boxOf) : null;
  state.sentences = sentenceIds;
  mark('[data-sentence]', element => sentenceIds.includes(element.dataset.sentence));
  mark('[data-finding]', element => findingNames.includes(element.dataset.finding));
  mark('[data-segment]', element => segmentIds.includes(element.dataset.segment));
  document.getElementById('clear').disabled = !segments.length && !sentenceIds.length;
  if (point && state.ready) state.cursor = toIndex(point);
  document.getElementById('announce').textContent = announcement || '';
  redraw();
}

function clearSelection() { select([], [], [], null, 'Selection cleared'); }

function findingsOf(segmentIds) {
  return page.findings.filter(finding => finding.segments.some(id => segmentIds.includes(id))).map(finding => finding.name);
}

function sentencesOf(segmentIds) {
  return page.sentences.filter(sentence => sentence.segments.some(id => segmentIds.includes(id))).map(sentence => sentence.id);
}

// The point to look at: inside the biggest of the segments.
function pointOf(segmentIds) {
  const segments = segmentIds.map(id => byId[id]).filter(Boolean).sort((a, b) => b.volume - a.volume);
  return segments.length ? segments[0].point : null;
}

function useWindowFor(segmentIds) {
  const segment = byId[segmentIds[0]];
  if (segment && segment.window) chooseWindow(segment.window);
}

function selectSentence(id) {
  const sentence = sentenceById[id];
  useWindowFor(sentence.segments);
  const names = sentence.findings.length ? sentence.findings : findingsOf(sentence.segments);
  select(sentence.segments, [id], names, pointOf(sentence.segments) || sentence.peak,
         sentence.segments.length ? `Showing ${sentence.segments.map(segment => byId[segment].title).join(', ')}`
                                  : 'No mask belongs to this sentence; showing where the model looked');
}

function selectFinding(name) {
  const finding = page.findings.find(row => row.name === name);
  const sentences = page.sentences.filter(sentence => sentence.findings.includes(name)).map(sentence => sentence.id);
  useWindowFor(finding.segments);
  select(finding.segments, sentences, [name], pointOf(finding.segments), `Showing ${name}`);
}

function selectSegment(id) {
  useWindowFor([id]);
  select([id], sentencesOf([id]), findingsOf([id]), byId[id].point, `Showing ${byId[id].title}`);
}

// The mask under the cursor: among segments of that label whose box holds the place, the nearest.
function segmentAtCursor() {
  const label = labelAtCursor();
  if (!label) return null;
  const [x, y, z] = state.cursor, ras = toRas(x, y, z);
  const distance = segment => Math.hypot(...segment.point.map((value, axis) => value - ras[axis]));
  const inside = page.segments.filter(segment => segment.label === label).filter(segment => {
    const {low, high} = boxOf(segment);
    return [x, y, z].every((value, axis) => value >= low[axis] && value <= high[axis]);
  });
  return inside.sort((a, b) => distance(a) - distance(b))[0] || null;
}

function chooseWindow(name) {
  for (const button of document.querySelectorAll('.segmented button')) {
    const on = button.textContent === name;
    button.setAttribute('aria-pressed', on);
    if (on) { state.level = +button.dataset.level; state.width = +button.dataset.width; }
  }
  redraw();
}

function pick(view, event) {
  const {axis, frame, canvas} = view, ratio = canvas.width / canvas.clientWidth;
  const across = (event.offsetX * ratio - frame.left) / frame.wide, down = (event.offsetY * ratio - frame.top) / frame.high;
  if (across < 0 || across >= 1 || down < 0 || down >= 1) return false;
  state.cursor[axis.across] = Math.floor(across * size[axis.across]);
  const row = Math.floor(down * size[axis.down]);
  state.cursor[axis.down] = axis.flip ? size[axis.down] - 1 - row : row;
  redraw();
  return true;
}

function listenToView(view) {
  const {canvas, axis, slider} = view;
  slider.max = size[axis.through] - 1;
  slider.addEventListener('input', () => move(axis.through, +slider.value));
  let rest = 0, pressed = null;
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    rest += event.deltaY * (event.deltaMode ? 40 : 1);
    const steps = Math.trunc(rest / 40);
    rest -= steps * 40;
    if (steps) move(axis.through, state.cursor[axis.through] + (axis.flip ? steps : -steps));
  }, {passive: false});
  canvas.addEventListener('pointerdown', event => {
    if (!state.ready) return;
    canvas.setPointerCapture(event.pointerId);
    pressed = [event.offsetX, event.offsetY];
    pick(view, event);
  });
  canvas.addEventListener('pointermove', event => { if (pressed && event.buttons) pick(view, event); });
  canvas.addEventListener('pointerup', event => {
    const still = pressed && Math.hypot(event.offsetX - pressed[0], event.offsetY - pressed[1]) < 4;
    pressed = null;
    if (!still || !pick(view, event)) return;
    const segment = segmentAtCursor();
    if (!segment) return clearSelection();
    select([segment.id], sentencesOf([segment.id]), findingsOf([segment.id]), null, `Showing ${segment.title}`);
    const lit = document.querySelector('.sentence.active');
    if (lit) lit.scrollIntoView({block: 'nearest', behavior: 'smooth'});
  });
  canvas.addEventListener('keydown', event => {
    const steps = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10}[event.key];
    if (steps) { event.preventDefault(); move(axis.through, state.cursor[axis.through] + steps); }
    if (event.key === 'Home') move(axis.through, 0);
    if (event.key === 'End') move(axis.through, size[axis.through] - 1);
  });
}

function listenToButton(element, action) {
  element.addEventListener('click', action);
  element.addEventListener('keydown', event => {
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); action(); }
  });
}

function listen() {
  for (const element of document.querySelectorAll('.sentence[role="button"]'))
    listenToButton(element, () => element.classList.contains('active') && state.sentences.length === 1
      ? clearSelection() : selectSentence(element.dataset.sentence));
  for (const element of document.querySelectorAll('.finding[role="button"]'))
    listenToButton(element, () => selectFinding(element.dataset.finding));
  for (const element of document.querySelectorAll('[data-segment]'))
    element.addEventListener('click', () => selectSegment(element.dataset.segment));
  for (const button of document.querySelectorAll('.segmented button'))
    button.addEventListener('click', () => chooseWindow(button.textContent));
  document.getElementById('overlay').addEventListener('change', event => { state.overlay = event.target.checked; redraw(); });
  document.getElementById('opacity').addEventListener('input', event => { state.opacity = event.target.value / 100; redraw(); });
  document.getElementById('clear').addEventListener('click', clearSelection);
  document.addEventListener('keydown', event => { if (event.key === 'Escape') clearSelection(); });
  window.addEventListener('resize', redraw);
}

async function start() {
  listen();
  if (typeof DecompressionStream === 'undefined') throw new Error('this browser is too old to unpack the images');
  const [depth, height, width] = page.shape, count = depth * height * width;
  voxels = undoDifferences(await decode('page-volume', count), width);
  masks = await decode('page-labels', count);
  hounsfield = codeTable(page.knots);
  for (const canvas of document.querySelectorAll('canvas[data-view]')) {
    const view = makeView(canvas);
    views[view.name] = view;
    listenToView(view);
  }
  state.cursor = toIndex(page.start);
  state.ready = true;
  chooseWindow(page.window);
  new ResizeObserver(redraw).observe(document.querySelector('.views'));
  document.documentElement.dataset.ready = 'true';
}

start().catch(error => {
  document.getElementById('position').textContent = `The images cannot be shown: ${error.message}.`;
  document.documentElement.dataset.ready = 'failed';
});
