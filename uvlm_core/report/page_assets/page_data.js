// The embedded volume and label map: base64 of zlib streams, decoded without a network.
'use strict';

const page = JSON.parse(document.getElementById('page-data').textContent);

async function decode(id, length) {
  const text = atob(document.getElementById(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) packed[n] = text.charCodeAt(n);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length !== length) throw new Error('the images in this file are incomplete');
  return bytes;
}

// Voxels are stored as differences along x (modulo 256), which packs better; this sums them up again.
function undoDifferences(bytes, width) {
  for (let row = 0; row < bytes.length; row += width)
    for (let n = row + 1; n < row + width; n++) bytes[n] = (bytes[n] + bytes[n - 1]) & 255;
  return bytes;
}

// HU of each of the 256 codes: straight between the knots [code, HU].
function codeTable(knots) {
  const table = new Float32Array(256);
  for (let code = 0; code < 256; code++) {
    let at = 1;
    while (at < knots.length - 1 && code > knots[at][0]) at++;
    const [c0, h0] = knots[at - 1], [c1, h1] = knots[at];
    table[code] = h0 + (h1 - h0) * (code - c0) / (c1 - c0);
  }
  return table;
}

function toRas(i, j, k) {
  return page.ijkToRas.slice(0, 3).map(row => row[0] * i + row[1] * j + row[2] * k + row[3]);
}

function toIndex(ras) {
  const inverse = page.rasToIjk.slice(0, 3).map(row => row[0] * ras[0] + row[1] * ras[1] + row[2] * ras[2] + row[3]);
  const [depth, height, width] = page.shape, limits = [width, height, depth];
  return inverse.map((value, axis) => Math.min(limits[axis] - 1, Math.max(0, Math.round(value))));
}
