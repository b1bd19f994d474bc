"""How do pictures get small enough to live beside the code?

A page has a few hundred colours that matter and thousands that edges of letters pass through. The
browser maps them to 256, the most frequent first and none of them close to another; what is left is a
picture of indexed colours, a third as long, in which nobody sees a difference.
"""

from __future__ import annotations

import base64
import struct
import zlib

from making.browser import Tab

_MAPPED = """
(async () => {
  const bytes = Uint8Array.from(atob("%s"), (each) => each.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const pixels = new Uint32Array(data.buffer);
  const counted = new Map();
  for (const each of pixels) counted.set(each, (counted.get(each) ?? 0) + 1);
  const colours = [...counted.keys()].sort((a, b) => counted.get(b) - counted.get(a));
  const part = (colour, shift) => (colour >>> shift) & 255;
  const far = (a, b) =>
    [0, 8, 16].reduce((sum, shift) => sum + (part(a, shift) - part(b, shift)) ** 2, 0);
  let palette = [];
  for (let apart = 1; apart === 1 || palette.length > 256; apart *= 1.6) {
    palette = [];
    for (const each of colours) {
      if (palette.every((taken) => far(taken, each) >= apart)) palette.push(each);
    }
  }
  const nearest = new Map(colours.map((each) => {
    let best = 0;
    for (let index = 1; index < palette.length; index++) {
      if (far(palette[index], each) < far(palette[best], each)) best = index;
    }
    return [each, best];
  }));
  let said = "";
  for (const each of pixels) said += String.fromCharCode(nearest.get(each));
  const flat = palette.flatMap((each) => [0, 8, 16].map((shift) => part(each, shift)));
  return JSON.stringify([image.width, image.height, flat, btoa(said)]);
})()
"""


async def packed(tab: Tab, picture: bytes) -> bytes:
    """The same picture as PNG in at most 256 colours; or as it is, if that was shorter."""
    asked = _MAPPED % base64.b64encode(picture).decode()
    width, height, colours, pixels = await tab.run(asked)
    made = _png(width, height, bytes(colours), base64.b64decode(pixels))
    return min(picture, made, key=len)


def _png(width: int, height: int, colours: bytes, pixels: bytes) -> bytes:
    """A PNG of indexed colours, one byte a pixel."""
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, width * height, width))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, body)
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", colours),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
