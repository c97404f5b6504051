"""Writes small sound files of every format the fuzz targets read, to start from: python seeds.py CORPUS

Needs Pillow, and pyarrow for the target `parquet`, which is left out without it. CORPUS/TARGET/* is what the target of that name takes.
"""

import io
import json
import os
import struct
import sys
import tarfile

from PIL import Image

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    pa = None


def write(target, name, data):
    folder = os.path.join(sys.argv[1], target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def encoded(mode, size, format, **options):
    image = Image.new(mode, size)
    image.putdata([(i * 7 % 256) if len(mode) == 1 else tuple((i * k) % 256 for k in (3, 5, 7, 11)[: len(mode)]) for i in range(size[0] * size[1])])
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


for name, mode, options in [
    ("420", "RGB", {}),
    ("444", "RGB", {"subsampling": 0}),
    ("422", "RGB", {"subsampling": 1}),
    ("progressive", "RGB", {"progressive": True}),
    ("restart", "RGB", {"restart_marker_blocks": 1}),
    ("grey", "L", {}),
    ("grey-progressive", "L", {"progressive": True}),
    ("cmyk", "CMYK", {}),
]:
    write("image", f"{name}.jpg", encoded(mode, (19, 17), "JPEG", **options))
for mode in ("RGB", "RGBA", "L", "LA", "1", "P"):
    image = Image.new("RGBA", (5, 4), (200, 100, 50, 25)).convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG")
    write("image", f"{mode}.png", out.getvalue())

# Rare layouts, as the tests have them.
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/fixtures/jpegs.safetensors"), "rb") as f:
    (length,) = struct.unpack("<Q", f.read(8))
    header, blob = json.loads(f.read(length)), f.read()
for name in ("split-420", "split-restart-411", "luma-first-422", "small-luma", "three-wide", "junk-between-headers", "ycck-420", "video-behind"):
    start, end = header[f"{name}.jpg"]["data_offsets"]
    write("image", f"{name}.jpg", blob[start:end])

for name, labels in [("one", [3]), ("two", [9, 0]), ("label", [200])]:
    write("binary", name, b"".join(bytes([0, label]) + bytes(range(256)) * 12 for label in labels))

if pa:
    png = encoded("RGB", (32, 32), "PNG")
    small = encoded("L", (32, 32), "JPEG", quality=5)
    for compression in ("none", "snappy", "gzip", "zstd"):
        for version in ("1.0", "2.0"):
            image = pa.array([{"bytes": small, "path": None}] * 3)
            table = pa.table({"img": image, "label": pa.array([0, 9, 5], pa.int64())})
            out = io.BytesIO()
            pq.write_table(table, out, compression=compression, data_page_version=version, use_dictionary=version == "2.0")
            write("parquet", f"{compression}-{version}", out.getvalue())
    table = pa.table({"img": pa.array([{"bytes": png, "path": "x"}]), "label": pa.array([1], pa.int64())})
    out = io.BytesIO()
    pq.write_table(table, out)
    write("parquet", "png", out.getvalue())


def tar(mode, members, format):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=format) as archive:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "x" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


plain = [("set", tarfile.DIRTYPE, b""), ("set/train/a.jpg", tarfile.REGTYPE, b"12345"), ("set/" + "n" * 150, tarfile.REGTYPE, b"x")]
hostile = [("../x", tarfile.REGTYPE, b"1"), ("link", tarfile.SYMTYPE, b""), ("/tmp/x", tarfile.REGTYPE, b"1")]
for name, format in [("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT), ("ustar", tarfile.USTAR_FORMAT)]:
    members = plain if format != tarfile.USTAR_FORMAT else plain[:2]
    write("archive", name, b"\x01" + tar("w", members, format))
    write("archive", f"{name}-gz", b"\x00" + tar("w:gz", members, format))
for i, member in enumerate(hostile):
    write("archive", f"hostile-{i}", b"\x01" + tar("w", [plain[1], member], tarfile.GNU_FORMAT))

index = b"".join(struct.pack("<QIII", 36 * i, 4, 3, label) for i, label in enumerate([1, 0, 1]))
write("cache", "whole", bytes(range(108)) + index + struct.pack("<QQ", 108, 3) + b"LKCACHE1")
