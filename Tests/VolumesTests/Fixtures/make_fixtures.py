#!/usr/bin/env python3
"""Writes fixtures.json: small image files, and what nnU-Net's readers say about each of them.

Made with Python 3.11, nnunetv2 2.8.1, SimpleITK 2.5.7, nibabel 5.4.2, tifffile 2026.3.3, pillow 13.0.0 and
scikit-image 0.26.0; run it in an environment with these: python make_fixtures.py
`files` are the images by name, in base64. In `expected`, `shape`, `spacing`, `elements` (row-major, little-endian float32 in
base64) and what a writer needs are those of `read_images` of `reader`. A file whose `error` is true is refused by nnU-Net's reader, or read as something that it is not.
"""
import base64
import gzip
import json
import tempfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from PIL import Image

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
rng = np.random.default_rng(20260101)
expected = []


def plain(value):
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return float(value)


def expect(reader, name, error=False):
    entry = {"reader": reader.__name__, "file": name, "error": error}
    if not error:
        data, properties = reader().read_images([str(folder / name)])
        assert data.dtype == np.float32 and data.ndim == 4, (name, data.shape)
        elements = base64.b64encode(data.astype("<f4").tobytes()).decode()
        entry |= {"shape": list(data.shape), "elements": elements, "spacing": plain(properties["spacing"])}
        for key in ("sitk_stuff", "nibabel_stuff"):
            if key in properties:
                entry[key] = plain(properties[key])
    expected.append(entry)


def voxels(dtype, shape=(2, 3, 4)):
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 1000).astype(dtype)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, shape, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True)
    values.flat[:2] = (info.min, info.max)
    return values.astype(dtype)


rotation = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])

# NRRD and MetaImage as ITK writes them.
for ending in ("nrrd", "nhdr", "mha", "mhd"):
    for number, (dtype, packed) in enumerate([("u1", True), ("i2", False), ("f4", True), ("f8", False)]):
        if ending in ("nhdr", "mhd") and number > 1:
            continue
        image = sitk.GetImageFromArray(voxels(dtype))
        image.SetSpacing((0.7, 1.25, 3.1))
        image.SetOrigin((-11.5, 22.25, 3))
        image.SetDirection(rotation.ravel().tolist())
        # Headers and data of two formats must not meet: both call the data NAME.raw.
        name = f"itk_{ending[:2]}_{dtype}.{ending}"
        sitk.WriteImage(image, str(folder / name), packed)
        expect(SimpleITKIO, name)
    flat = sitk.GetImageFromArray(voxels("u2", (3, 4)))
    flat.SetSpacing((0.7, 1.25))
    flat.SetOrigin((5, 6))
    flat.SetDirection((0, 1, -1, 0))
    sitk.WriteImage(flat, str(folder / f"itk_{ending[:2]}_flat.{ending}"), True)
    expect(SimpleITKIO, f"itk_{ending[:2]}_flat.{ending}")


def nrrd(name, fields, data, error=False):
    text = "NRRD0005\n# written by make_fixtures.py\n" + "\n".join(fields) + "\n\n"
    (folder / name).write_bytes(text.encode() + data)
    expect(SimpleITKIO, name, error)


# Every type in both byte orders, written by hand.
nrrd_types = {"i1": "signed char", "u1": "uchar", "i2": "short", "u2": "unsigned short", "i4": "int", "u4": "uint",
              "i8": "longlong", "u8": "unsigned long long int", "f4": "float", "f8": "double"}
met_types = {"i1": "MET_CHAR", "u1": "MET_UCHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "i4": "MET_INT",
             "u4": "MET_UINT", "i8": "MET_LONG_LONG", "u8": "MET_ULONG_LONG", "f4": "MET_FLOAT", "f8": "MET_DOUBLE"}
for code in nrrd_types:
    for order, word in (("<", "little"), (">", "big")):
        data = voxels(order + code, (2, 1, 3)).tobytes()
        nrrd(f"{word}_{code}.nrrd", [f"type: {nrrd_types[code]}", "dimension: 3", "sizes: 3 1 2", f"endian: {word}",
                                     "encoding: raw", "spacings: 1 2 3.5"], data)
        (folder / f"{word}_{code}.mha").write_bytes(
            f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = {word == 'big'}\n"
            f"DimSize = 3 1 2\nElementSpacing = 1 2 3.5\nElementType = {met_types[code]}\nElementDataFile = LOCAL\n"
            .encode() + data)
        expect(SimpleITKIO, f"{word}_{code}.mha")

eight = bytes(range(8))
directions = "space directions: (0,2,0) (1,0,0) (0,0,-3)"
base = ["type: uint8", "dimension: 3", "sizes: 2 2 2", "encoding: raw"]
for word in ("right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "RAS", "scanner-xyz"):
    nrrd(f"space_{word}.nrrd", base + [f"space: {word}", directions, "space origin: (1,2,3)"], eight)
nrrd("space_dimension.nrrd", base + ["space dimension: 3", directions], eight)
nrrd("oblique.nrrd", base + ["space: LPS", "space directions: (1,0.5,0) (0,1,0) (0.25,0,2)",
                             "kinds: domain domain domain", "key:=value: more"], eight)
nrrd("mins.nrrd", base + ["spacings: 1 2 3", "axis mins: 1 2 3", "centers: cell node cell"], eight)
nrrd("spacings_nan.nrrd", base + ["spacings: NaN 2 3"], eight)
nrrd("skips.nrrd", base + ["line skip: 2", "byte skip: 3"], b"a\nb\nxyz" + eight)
nrrd("from_end.nrrd", base + ["byte skip: -1"], b"anything" + eight)
nrrd("ascii.nrrd", ["type: float", "dimension: 2", "sizes: 3 2", "spacings: 1 2", "encoding: ascii"],
     b"1 2.5\n-3e2\t4 5 6\n")
nrrd("gzip_skip.nrrd", ["type: uint8", "dimension: 3", "sizes: 2 2 2", "encoding: gzip", "byte skip: 2"],
     gzip.compress(b"xy" + eight))
nrrd("four.nrrd", ["type: uint8", "dimension: 4", "sizes: 2 1 2 2", "encoding: raw", "spacings: 1 2 3 4"], eight)
nrrd("rgb.nrrd", ["type: uint8", "dimension: 3", "sizes: 3 2 1", "encoding: raw", "kinds: RGB-color domain domain"],
     bytes(6), error=True)
nrrd("spacing_in_space.nrrd", base + ["space: LPS", "spacings: 1 2 3"], eight, error=True)
nrrd("flat_axis.nrrd", base + ["space: LPS", "space directions: (1,0,0) (2,0,0) (0,0,1)"], eight, error=True)
(folder / "detached.nhdr").write_text("\n".join(["NRRD0004"] + base + ["data file: detached.raw"]) + "\n")
(folder / "detached.raw").write_bytes(eight)
expect(SimpleITKIO, "detached.nhdr")


def meta(name, fields, data, error=False):
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = 2 2 2", "ElementType = MET_UCHAR"] + fields
    (folder / name).write_bytes(("\n".join(lines + ["ElementDataFile = LOCAL"]) + "\n").encode() + data)
    expect(SimpleITKIO, name, error)


meta("size.mha", ["ElementSize = 1 2 3", "Position = 4 5 6", "Rotation = 0 1 0 -1 0 0 0 0 1"], eight)
meta("size_and_spacing.mha", ["ElementSize = 1 2 3", "ElementSpacing = 4 5 6", "Origin = 7 8 9"], eight)
meta("orientation.mha", ["Orientation = 0.6 0.8 0 -0.8 0.6 0 0 0 1", "AnatomicalOrientation = RAI"], eight)
meta("header_size.mha", ["HeaderSize = 4"], b"abcd" + eight)
meta("from_end.mha", ["HeaderSize = -1"], b"anything" + eight)
meta("text.mha", ["BinaryData = False"], b"1 2 3 4\n5 6 7 8\n")
meta("zlib.mha", ["CompressedData = True", f"CompressedDataSize = {len(zlib.compress(eight))}"], zlib.compress(eight))
meta("rgb.mha", ["ElementNumberOfChannels = 3"], eight * 3, error=True)
for word in ("MET_LONG", "MET_ULONG"):
    (folder / f"{word}.mha").write_bytes(
        f"ObjectType = Image\nNDims = 2\nDimSize = 2 1\nElementType = {word}\nElementByteOrderMSB = True\n"
        "ElementDataFile = LOCAL\n".encode() + np.array([-2, 3], ">i4").tobytes())
    expect(SimpleITKIO, f"{word}.mha")

# NIfTI in every orientation, for the reader that turns images to RAS.
affines = {
    "ras": np.diag([1, 2, 3, 1]), "lps": np.diag([-1, -2, 3, 1]),
    "pir": np.array([[0, 0, 3, 1], [-1, 0, 0, 2], [0, -2, 0, 3], [0, 0, 0, 1]]),
    "oblique": np.array([[0.1, -0.9, 0.2, 5], [1.1, 0.2, 0.1, 6], [0.1, 0.1, -2.5, 7], [0, 0, 0, 1]]),
    # Here the order matters in which axes are assigned: two of them run along x most of all.
    "diagonal": np.array([[0.9, 1.0, -0.2, 5], [0.7, -0.8, 0.9, 6], [0.6, -0.3, -1.2, 7], [0, 0, 0, 1]]),
    "diagonal_late": np.array([[0.9, -0.2, 1.0, 5], [-0.8, 1.1, 0.7, 6], [0.4, 1.0, -0.3, 7], [0, 0, 0, 1]]),
    "sheared": np.array([[1, 0.4, 0, 5], [0, 1.5, 0.3, 6], [0, 0, -2.5, 7], [0, 0, 0, 1]]),
}
for name, affine in affines.items():
    image = nibabel.Nifti1Image(voxels("i2", (4, 3, 2)), affine.astype(float))
    nibabel.save(image, folder / f"{name}.nii")
    expect(NibabelIOWithReorient, f"{name}.nii")
    expect(NibabelIO, f"{name}.nii")
    data, properties = NibabelIOWithReorient().read_seg(str(folder / f"{name}.nii"))
    labels = np.arange(data[0].size).reshape(data[0].shape)
    NibabelIOWithReorient().write_seg(labels, str(folder / f"{name}_labels.nii"), properties)
    expect(NibabelIO, f"{name}_labels.nii")

# TIFF: types, byte orders, compression, layouts.
for number, code in enumerate(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]):
    for order in "<>":
        if number % 2 and order == ">" and code != "i2":
            continue
        name = f"{code}_{'little' if order == '<' else 'big'}.tif"
        packing = [None, "zlib", "lzw", "packbits"][number % 4]
        tifffile.imwrite(folder / name, voxels(code, (2, 5, 6)), byteorder=order, compression=packing)
        expect(Tiff3DIO, name)
for code, name in (("u2", "predictor"), ("f4", "predictor_float")):
    tifffile.imwrite(folder / f"{name}.tif", voxels(code, (2, 5, 6)), compression="zlib", predictor=True)
    expect(Tiff3DIO, f"{name}.tif")
tifffile.imwrite(folder / "tiles.tif", voxels("u2", (2, 20, 19)), tile=(16, 16), compression="zlib")
expect(Tiff3DIO, "tiles.tif")
tifffile.imwrite(folder / "bigtiff.tif", voxels("i2", (2, 5, 6)), bigtiff=True, rowsperstrip=2)
expect(Tiff3DIO, "bigtiff.tif")
tifffile.imwrite(folder / "one_slice.tif", voxels("u1", (1, 5, 6)))
expect(Tiff3DIO, "one_slice.tif")
tifffile.imwrite(folder / "imagej.tif", voxels("u2", (2, 5, 6)), imagej=True)
expect(Tiff3DIO, "imagej.tif")
tifffile.imwrite(folder / "ome.tif", voxels("u2", (2, 5, 6)), ome=True)
expect(Tiff3DIO, "ome.tif")
tifffile.imwrite(folder / "ome_4d.tif", voxels("u2", (2, 2, 5, 6)), ome=True)
expect(Tiff3DIO, "ome_4d.tif", error=True)
tifffile.imwrite(folder / "flat.tif", voxels("u1", (5, 6)))
expect(NaturalImage2DIO, "flat.tif")
expect(Tiff3DIO, "flat.tif", error=True)
tifffile.imwrite(folder / "rgb.tif", voxels("u1", (5, 6, 3)), photometric="rgb")
expect(NaturalImage2DIO, "rgb.tif")
tifffile.imwrite(folder / "rgba16.tif", voxels("u2", (5, 6, 4)), photometric="rgb", compression="lzw")
expect(NaturalImage2DIO, "rgba16.tif")
tifffile.imwrite(folder / "planes.tif", voxels("u1", (3, 5, 6)), photometric="rgb", planarconfig="separate")
expect(NaturalImage2DIO, "planes.tif")
tifffile.imwrite(folder / "bits.tif", voxels("u1", (5, 11)) > 99)
expect(NaturalImage2DIO, "bits.tif")
tifffile.imwrite(folder / "white.tif", voxels("u1", (5, 6)), photometric="miniswhite", metadata=None)
expect(NaturalImage2DIO, "white.tif")
Image.fromarray(voxels("u1", (5, 6, 3))).convert("P").save(folder / "palette.tif")
expect(NaturalImage2DIO, "palette.tif")
spaced = voxels("u1", (2, 5, 6))
tifffile.imwrite(folder / "spaced_0000.tif", spaced)
tifffile.imwrite(folder / "spaced.tif", spaced)
(folder / "spaced.json").write_text('{"spacing": [3, 0.5, 0.25]}')
expect(Tiff3DIO, "spaced_0000.tif")

# BMP in Pillow's modes, and by hand what Pillow reads but does not write.
for mode in ("1", "L", "P", "RGB", "RGBA"):
    Image.fromarray(voxels("u1", (5, 7, 3))).convert(mode).save(folder / f"pillow_{mode}.bmp")
    expect(NaturalImage2DIO, f"pillow_{mode}.bmp")


def bmp(name, bits, header, palette, rows, height, compression=0, masks=b"", error=False):
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    size = 14 + header + len(masks if header == 40 else b"") + len(palette)
    words = np.array([header, 5, height], "<i4").tobytes() + np.array([1, bits], "<u2").tobytes()
    words += np.array([compression, len(body), 0, 0, len(palette) // 4, 0], "<u4").tobytes()
    if header == 12:
        words = np.array([header], "<u4").tobytes() + np.array([5, height, 1, bits], "<u2").tobytes()
    words += masks
    words += bytes(max(0, 0 if header == 40 else header - len(words)))
    head = b"BM" + np.array([size + len(body), 0, size], "<u4").tobytes()
    (folder / name).write_bytes(head + words + palette + body)
    expect(NaturalImage2DIO, name, error)


def row(count):
    return rng.integers(0, 256, count, dtype=np.uint8).tobytes()


colours = rng.integers(0, 256, (16, 4), dtype=np.uint8)
bmp("four_bits.bmp", 4, 40, colours.tobytes(), [row(3) for _ in range(3)], 3)
bmp("top_down.bmp", 24, 40, b"", [row(15) for _ in range(3)], -3)
bmp("fifteen_bits.bmp", 16, 40, b"", [row(10) for _ in range(3)], 3)
bmp("sixteen_bits.bmp", 16, 40, b"", [row(10) for _ in range(3)], 3, 3,
    np.array([0xF800, 0x7E0, 0x1F], "<u4").tobytes())
bmp("padded_bits.bmp", 32, 40, b"", [row(20) for _ in range(3)], 3)
bmp("alpha_bits.bmp", 32, 108, b"", [row(20) for _ in range(3)], 3, 3,
    np.array([0xFF0000, 0xFF00, 0xFF, 0xFF000000], "<u4").tobytes())
bmp("os2.bmp", 24, 12, b"", [row(15) for _ in range(3)], 3)
bmp("os2_bits.bmp", 1, 12, bytes([9, 8, 7, 6, 5, 4]), [row(1) for _ in range(3)], 3)

files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(folder.iterdir())}
lines = [json.dumps(entry) for entry in expected]
named = [f"{json.dumps(name)}: {json.dumps(data)}" for name, data in files.items()]
target = Path(__file__).parent / "fixtures.json"
target.write_text('{"expected": [\n' + ",\n".join(lines) + '\n], "files": {\n' + ",\n".join(named) + "\n}}\n")
print(len(files), "files,", len(expected), "readings,", target.stat().st_size, "bytes")
