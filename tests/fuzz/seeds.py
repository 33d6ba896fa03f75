"""What fuzzing of texts begins with: small sound inputs of every form, and hostile ones that must be refused."""

from __future__ import annotations

from mmidd import recipe

_BASE = "name: t\ndatasets: [CelebA]\n"

RECIPES = {
    **{name: text.encode() for name, text in recipe.bundled().items()},
    "short": _BASE.encode(),
    "settings": f"{_BASE}\n\x1d\ncaptioner.kind=none\n\x1d\nframes={{count: 3}}".encode(),
    "full": (
        b"name: all\ndescription: >\n  words\npreset: deepfakebench\nseed: 7\n"
        b"datasets:\n- {name: FaceForensics++, compression: c23, frames: 8, cap_per_method: 10, subset: 0.5}\n"
        b"decoder: pyav\nframes: {count: 32, spacing: linspace}\n"
        b"crop: {size: 256, margin: 1.3, template: arcface, border: black}\n"
        b"image: {format: jpeg, quality: 95, subsampling: '420'}\ndetector: {kind: yunet, size: 640, min_score: 0.5}\n"
        b"captioner: {kind: openai, model: m, base_url: http://localhost}\n"
        b"curation: {exact_duplicates: true, splits: {train: 0.8, validation: 0.1, test: 0.1}}\n"
        b"shards: {max_bytes: 1000000, row_group_rows: 100, row_group_bytes: 20000}\ntime_limit: 60.5\n"
    ),
    "twice": f"{_BASE}name: u\n".encode(),
    "bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    "tag": f"{_BASE}seed: !!python/object/apply:os.system ['true']\n".encode(),
    "numbers": f"{_BASE}time_limit: .nan\nseed: 99999999999999999999\nframes: {{count: '3'}}\n".encode(),
    "control": b'name: "t\\e[31m"\ndatasets: ["Celeb\\u202eA"]\n',
}

YAMLS = {
    "nested": b"a:\n- b: {c: [1, 2.5, ~, true, 'x', \"y\\n\"]}\n- |\n  text\n- ? k\n  : v\n",
    "numbers": b"[0x1F, 0o17, 1_000, 12:30, +1., .5e3, 1e400, .inf, .nan, 0b1, 01]",
    "merge": b"a: &x {b: 1}\nc:\n  <<: *x\n",
    "tags": b"!!map {a: !!str 1, b: !x y}",
    "documents": b"---\na: 1\n---\nb: 2\n",
    "deep": b"[" * 40 + b"]" * 40,
    "twice": b"{a: 1, 'a': 2}",
    "yes": b"[yes, no, on, off, y, n, True, FALSE, null, Null, ~]",
}

MADE_UP = """\
name: Made-Up Faces
slug: made_up
year: 2024
folders: [MadeUp]
summary: clips of actors
access: ask
citation: "Nobody, 2024"
licence: {id: other, name: Terms, url: "https://example.org", redistributable: false}
verified: false
verified_note: invented
type_basis: stated
join_identities: true
compressions: [raw, c23]
fields:
  clip: '\\d{4}'
  half: [train, test]
  rest: {pattern: '.+', path: true}
  quality: {choices: [c0, c23], as: {c0: raw}, any_case: true}
tables:
  clips:
    files: "lists/{half}.csv"
    key: "{clip}"
    values:
      label: {from: "{class}", as: {REAL: real, FAKE: fake}}
      donor: {from: "{donor}", optional: true}
      split: "{half}"
    unlisted: {label: real}
  pairs: {files: lists/pairs.json, rows: object, at: [all], key: "{key}", values: {real: "{value}"}}
  lines: {files: lists/lines.txt, columns: 2, key: "{0}", values: {name: "{1}"}}
  bare: {files: lists/bare.csv, header: false, key: ["{0}", "{1}"], values: {x: "{2}"}}
rules:
- id: real
  path: ["clips/{quality}/{clip}.avi", "clips/{clip}.avi"]
  look_up: {clips: "{clip}"}
  where: {clips.label: real}
  label: real
  target_id: "{clips.donor}"
  split: "{clips.split}"
- id: fake
  path: "fakes/{clip}_{half}.png"
  look_up: {pairs: "{clip}"}
  label: fake
  method: FaceSwap
  source_id: "{pairs.real}"
  pair: ["clips/{clip}.avi", {dataset: CelebA, media: "{pairs.real}"}]
  group: ["{clip}", "/CelebA/image/{clip}"]
- {id: clip, path: "frames/{clip}", kind: frames, faces: keep, label: real}
archives: ["*.zip", "**.tar.gz"]
ignore: ["**_mask.avi", "notes/{rest}"]
empty_folders: ["void/**"]
expected: [{label: real, count: 500}, {split: test, count: 100}, {rule: fake, count: 3}]
known_defects: ["one clip is odd"]
"""
MADE_UP = MADE_UP.replace('"clips/{quality}/{clip}.avi", ', "")

PATHS = (
    "clips/0001.avi", "clips/0002.avi", "fakes/0001_train.png", "fakes/0003_test.png", "frames/0007/001.png",
    "frames/0007/002.png", "frames/0007/x.txt", "x_mask.avi", "notes/a/b.txt", "lists/train.csv", "a.zip", "../x.avi",
    "clips//0001.avi", "/etc/passwd", "clips/0001.avi\x1b[31m", "clips/000\u0661.avi", "CLIPS/0001.avi",
)  # fmt: skip

LABELS = {
    f"{number:02d}-{name}": bytes([number]) + data
    for number in range(30)
    for name, data in {
        "list": b'[["000", "003"], ["1", "2", "3"], {"a": "b", "n": 1e999}]',
        "object": b'{"a.mp4": {"label": "FAKE", "original": "b.mp4", "split": "train"}, "b.mp4": {"label": "REAL"}}',
        "strange": b'{"a": "\\ud800", "b": NaN, "c": 1' + b"0" * 400 + b', "d": "\\u0000\\u001b[31m"}',
        "csv": b'clip,class,donor\n0001,REAL,\n0002,FAKE,"x, y"\n',
        "text": b"000001.jpg 0\r\n000002.jpg 2\n1 id0/0001.mp4\n",
    }.items()
}

TAKEDOWN = {
    "all": b"# list\nsha256:" + b"ab" * 32 + b"\nmedia:CelebA/img_align_celeba/000001.jpg # gone\nidentity:celeba/12\n\n",
    "odd": "media:CelebA/a\u2028b\nmedia:CelebA/ #1.jpg\nmedia:CelebA/a/../b\nidentity:CelebA/\x1b[1m".encode(),
}
