#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A reader of bundles that was written from bundle.md alone.

It shows that the document is enough to write one, and is what the tests hold the
other reader against. It is slow, and is not what to apply patches with. It wants
Python 3.8 and the commands minisign and zstd.
"""

import argparse
import base64
import calendar
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

MAGIC = b"\x89ulp\r\n\x1a\n"
HEADER = struct.Struct("<8sIIQQ")
MAX_MANIFEST, MAX_PACKED, MAX_UNPACKED = 1 << 20, 256 << 20, 256 << 20
MAX_SIGNATURES, MAX_SIGNATURE, MAX_PAYLOAD = 16, 1024, 64 << 20
UNTRUSTED = b"untrusted comment: signature of an ulpatch bundle"
FEATURES = frozenset({"hooks", "unproved"})


class Refused(Exception):
    """The bundle is invalid in a layer."""

    def __init__(self, layer, reason):
        super().__init__(f"{layer}: {reason}")
        self.layer = layer


def want(condition, layer, reason):
    if not condition:
        raise Refused(layer, reason)


class Layer:
    """Whatever goes wrong in a block is a refusal in its layer."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and not isinstance(error, Refused):
            if isinstance(error, (ValueError, KeyError, TypeError, RecursionError, struct.error)):
                raise Refused(self.name, str(error)) from error

    def want(self, condition, reason):
        want(condition, self.name, reason)


# Text, numbers, canonical JSON

FORBIDDEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]"
)


def check_text(text, most, least=0):
    if not isinstance(text, str) or not least <= len(text.encode()) <= most or FORBIDDEN.search(text):
        raise ValueError(f"not a text of {least} to {most} bytes: {text!r:.80}")
    return text


def check_int(value, low, high):
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"not an integer from {low} to {high}: {value!r:.80}")
    return value


def check_pattern(pattern, text):
    if not isinstance(text, str) or not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(f"{text!r:.80} does not match {pattern}")
    return text


def check_sha256(text):
    return check_pattern("[0-9a-f]{64}", text)


def check_list(value, most):
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"not a list of at most {most}")
    return value


def check_ascending(keys):
    for before, after in zip(keys, keys[1:]):
        if before >= after:
            raise ValueError(f"{after!r:.80} does not ascend")


def check_members(value, names):
    if not isinstance(value, dict) or list(value) != names:
        raise ValueError(f"not an object of {', '.join(names)}")


def check_id(text):
    return check_pattern(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}", text)


def seconds(text):
    """Read a time; None is none."""
    if text == "":
        return None
    check_pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    year, month, day, hour, minute, second = map(int, re.findall(r"\d+", text))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if year < 1970 or not 1 <= month <= 12 or not 1 <= day <= days[month - 1] or hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"there is no {text}")
    result = calendar.timegm((year, month, day, hour, minute, second))
    if result < 1:
        raise ValueError(f"{text} is none")
    return result


def address(text):
    check_pattern("0x(0|[1-9a-f][0-9a-f]{0,15})", text)
    return int(text[2:], 16)


def no_json(value):
    raise ValueError(f"number {value}")


def parse_canonical(data):
    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member twice")
        return dict(pairs)

    value = json.loads(data.decode(), object_pairs_hook=unique, parse_float=no_json, parse_constant=no_json)
    if json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() != data:
        raise ValueError("not in canonical form")
    return value


# 1. Envelope


def read_envelope(data):
    with Layer("envelope") as layer:
        layer.want(len(data) >= HEADER.size, "cut short")
        magic, version, flags, manifest, frames = HEADER.unpack_from(data)
        layer.want(magic == MAGIC, "magic")
        want(version == 1, "version", f"version {version}")
        layer.want(flags == 0, "flags")
        layer.want(1 <= manifest <= MAX_MANIFEST, "size of the manifest")
        layer.want(1 <= frames <= MAX_PACKED, "size of the frames")
        end = HEADER.size + manifest + frames
        layer.want(end <= len(data), "cut short")
        signatures, at = [], end
        if at < len(data):
            (count,) = struct.unpack_from("<I", data, at)
            layer.want(1 <= count <= MAX_SIGNATURES, "number of signatures")
            at += 4
            for _ in range(count):
                (length,) = struct.unpack_from("<I", data, at)
                at += 4
                layer.want(1 <= length <= MAX_SIGNATURE and at + length <= len(data), "length of a signature")
                signatures.append(data[at : at + length])
                at += length
            layer.want(at == len(data), "bytes after the end")
        return end, data[HEADER.size : HEADER.size + manifest], data[HEADER.size + manifest : end], signatures


# 2. Signatures


def decode_base64(line, size):
    raw = base64.b64decode(line, validate=True)
    if len(raw) != size or base64.b64encode(raw) != line:
        raise ValueError("base64")
    return raw


def parse_signature(text):
    """Return the key ID of a signature of the one allowed form."""
    lines = text.split(b"\n")
    if len(lines) != 5 or lines[4] != b"" or lines[0] != UNTRUSTED:
        raise ValueError("not four lines, or another first one")
    raw = decode_base64(lines[1], 74)
    prefix = b"trusted comment: "
    if raw[:2] != b"ED" or not lines[2].startswith(prefix):
        raise ValueError("algorithm or trusted comment")
    check_text(lines[2][len(prefix) :].decode(), 512)
    decode_base64(lines[3], 64)
    return int.from_bytes(raw[2:10], "little")


def minisign(key, signed, signature):
    with tempfile.TemporaryDirectory() as directory:
        message, text = os.path.join(directory, "signed"), os.path.join(directory, "signature")
        for path, content in (message, signed), (text, signature):
            with open(path, "wb") as file:
                file.write(content)
        command = ["minisign", "-V", "-q", "-P", key, "-m", message, "-x", text]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def check_signatures(signed, signatures, keys, threshold):
    with Layer("signature") as layer:
        layer.want(signatures, "none")
        layer.want(keys, "no key is trusted")
        ids = [parse_signature(text) for text in signatures]
        check_ascending(ids)
        valid = 0
        for key_id, text in zip(ids, signatures):
            candidates = [key for key in keys if int.from_bytes(base64.b64decode(key)[2:10], "little") == key_id]
            if candidates:
                layer.want(any(minisign(key, signed, text) for key in candidates), f"by key {key_id:016X} is invalid")
                valid += 1
        layer.want(valid >= threshold, f"{valid} of {threshold} that are needed")


# 3. Manifest


def check_features(data):
    value = json.loads(data.decode(), parse_int=len, parse_float=len, parse_constant=no_json)  # however long
    critical = value.get("critical") if isinstance(value, dict) else None
    if isinstance(critical, list) and all(isinstance(feature, str) for feature in critical):
        for feature in critical:
            known = feature in FEATURES or not re.fullmatch("[a-z][a-z0-9-]{0,63}", feature, re.ASCII)
            want(known, "feature", feature)


def check_image(image):
    check_members(image, ["name", "build_id", "machine"])
    name = check_text(image["name"], 255, 1)
    if "/" in name or name in (".", ".."):
        raise ValueError(f"name {name!r}")
    check_pattern("([0-9a-f]{2}){4,64}", image["build_id"])
    check_pattern("[a-z0-9_]{1,32}", image["machine"])


def read_manifest(data, frames):
    with Layer("manifest") as layer:
        check_features(data)
        m = parse_canonical(data)
        check_members(m, ["id", "version", "description", "expires", "critical", "replaces", "payloads"])
        check_id(m["id"])
        check_int(m["version"], 1, 2147483647)
        check_text(m["description"], 4096)
        seconds(m["expires"])
        for feature in check_list(m["critical"], 64):
            layer.want(feature in FEATURES, f"critical: {feature!r:.80}")
        check_ascending(m["critical"])
        for other in check_list(m["replaces"], 256):
            layer.want(check_id(other) != m["id"], "replaces itself")
        check_ascending(m["replaces"])
        layer.want(check_list(m["payloads"], 1024), "no payloads")
        for p in m["payloads"]:
            check_members(p, ["image", "digest", "size", "packed_digest", "packed_size"])
            check_image(p["image"])
            check_sha256(p["digest"])
            check_int(p["size"], 1, MAX_PAYLOAD)
            check_sha256(p["packed_digest"])
            check_int(p["packed_size"], 1, MAX_PACKED)
        check_ascending([(p["image"]["machine"], p["image"]["build_id"]) for p in m["payloads"]])
        layer.want(sum(p["size"] for p in m["payloads"]) <= MAX_UNPACKED, "sum of size")
        layer.want(sum(p["packed_size"] for p in m["payloads"]) == len(frames), "sum of packed_size")
        return m


# 4. Policy


def check_policy(m, now):
    expires = seconds(m["expires"])
    if expires is not None:
        want(now is not None, "policy", "it expires, and the time is not known")
        want(now < expires, "policy", f"expired at {m['expires']}")


# 5. Frames


def check_frame(frame, size):
    if frame[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("not a Zstandard frame")
    descriptor = frame[4]
    # Single segment, nothing reserved, no checksum, no dictionary.
    if descriptor & 0x2F != 0x20:
        raise ValueError(f"frame descriptor {descriptor:#x}")
    width = (1, 2, 4, 8)[descriptor >> 6]
    content = int.from_bytes(frame[5 : 5 + width], "little") + (256 if width == 2 else 0)
    if content != size:
        raise ValueError(f"content size {content}, not {size}")
    at, last = 5 + width, False
    while not last:
        if at + 3 > len(frame):
            raise ValueError("frame cut short")
        block = int.from_bytes(frame[at : at + 3], "little")
        last, kind, length = block & 1, block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == 1 else length)
    if at != len(frame):
        raise ValueError("the frame does not fill its place")


def unpack(frame, info):
    with Layer("decompress") as layer:
        layer.want(hashlib.sha256(frame).hexdigest() == info["packed_digest"], "packed_digest")
        check_frame(frame + b"\0" * 8 if len(frame) < 8 else frame, info["size"])
        with tempfile.TemporaryFile() as file:
            file.write(frame)
            file.seek(0)
            command = ["zstd", "-d", "-c", "-q", "--single-thread"]
            with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                data = process.stdout.read(info["size"] + 1)
                process.stdout.close()
            layer.want(process.returncode == 0, "zstd refuses it")
        layer.want(len(data) == info["size"], "size")
        layer.want(hashlib.sha256(data).hexdigest() == info["digest"], "digest")
        return data


# 6. Payloads

MACHINES = {62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64"}
PROGBITS, SYMTAB, STRTAB, RELA, NOBITS = 1, 2, 3, 4, 8
WRITE, ALLOC, EXECINSTR = 1, 2, 4
NOTYPE, OBJECT, FUNC, SECTION, TLS = 0, 1, 2, 3, 6
LOCAL, GLOBAL, WEAK = 0, 1, 2
EHDR, SHDR, SYM = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
RELOC = struct.Struct("<QIIq")
IDENT = b"\x7fELF\x02\x01\x01" + bytes(9)
RESERVED = (".ulpatch.table", ".symtab", ".strtab", ".shstrtab")


def padded(size, align):
    return -(-size // align) * align


def string(table, at):
    if not 0 < at < len(table):
        raise ValueError("outside of the string table")
    return table[at : table.index(b"\0", at)].decode()


def read_elf(data):
    """Read what is needed to write the file again."""
    if len(data) > MAX_PAYLOAD:
        raise ValueError("too large")
    header = EHDR.unpack_from(data)
    machine, offset, count = header[2], header[6], header[12]
    if header[0] != IDENT or header[1] != 1 or machine not in MACHINES or count < 5:
        raise ValueError("ELF header")
    headers = [SHDR.unpack_from(data, offset + SHDR.size * i) for i in range(count)]

    def content(h, kind):
        if h[1] != kind or h[4] + h[5] > len(data):
            raise ValueError("a section that is of another type, or outside of the file")
        return data[h[4] : h[4] + h[5]]

    names = content(headers[-1], STRTAB)
    contents, relocations = [], []
    for h in headers[1:-4]:
        if h[1] == RELA:
            raw = content(h, RELA)
            relocations.append((h[7] - 1, [RELOC.unpack_from(raw, i) for i in range(0, len(raw), RELOC.size)]))
        elif relocations:
            raise ValueError("contents behind relocations")
        else:
            body = None if h[1] == NOBITS else content(h, PROGBITS)
            contents.append({"name": string(names, h[0]), "flags": h[2], "size": h[5], "align": h[8], "data": body})
    strings, raw = content(headers[-2], STRTAB), content(headers[-3], SYMTAB)
    symbols = []
    for name, info, other, section, value, size in (SYM.unpack_from(raw, i) for i in range(SYM.size, len(raw), SYM.size)):
        if other:
            raise ValueError("visibility")
        text = string(strings, name) if name else ""
        symbols.append({"name": text, "bind": info >> 4, "type": info & 15, "section": section, "value": value, "size": size})
    return machine, contents, relocations, symbols, content(headers[-4], PROGBITS)


def write_elf(machine, contents, relocations, symbols, table):
    """Write the one file that has these parts."""
    first_table = 1 + len(contents) + len(relocations)
    local = sum(s["bind"] == LOCAL for s in symbols)
    strings, symtab = b"\0", bytes(SYM.size)
    for s in symbols:
        name = 0
        if s["name"]:
            name, strings = len(strings), strings + s["name"].encode() + b"\0"
        symtab += SYM.pack(name, s["bind"] << 4 | s["type"], 0, s["section"], s["value"], s["size"])
    # name, type, flags, size, data, link, info, align, entry size
    sections = [(c["name"], NOBITS if c["data"] is None else PROGBITS, c["flags"], c["size"], c["data"] or b"", 0, 0, c["align"], 0) for c in contents]
    for target, entries in relocations:
        raw = b"".join(RELOC.pack(*entry) for entry in entries)
        sections.append((".rela" + contents[target]["name"], RELA, 64, len(raw), raw, first_table + 1, target + 1, 8, RELOC.size))
    names = [s[0] for s in sections] + list(RESERVED)
    shstrtab = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    sections += [
        (RESERVED[0], PROGBITS, 0, len(table), table, 0, 0, 1, 0),
        (RESERVED[1], SYMTAB, 0, len(symtab), symtab, first_table + 2, 1 + local, 8, SYM.size),
        (RESERVED[2], STRTAB, 0, len(strings), strings, 0, 0, 1, 0),
        (RESERVED[3], STRTAB, 0, len(shstrtab), shstrtab, 0, 0, 1, 0),
    ]
    body, headers, name = bytearray(EHDR.size), bytearray(SHDR.size), 1
    for text, kind, flags, size, data, link, info, align, entry in sections:
        body.extend(bytes(padded(len(body), align) - len(body)))
        headers.extend(SHDR.pack(name, kind, flags, 0, len(body), size, link, info, align, entry))
        body.extend(data)
        name += len(text.encode()) + 1
    body.extend(bytes(padded(len(body), 8) - len(body)))
    count = len(sections) + 1
    EHDR.pack_into(body, 0, IDENT, 1, machine, 1, 0, 0, len(body), 0, 64, 0, 0, 64, count, count - 1)
    return bytes(body + headers)


def check_contents(contents):
    total = 0
    for c in contents:
        if check_text(c["name"], 65536, 1) in RESERVED:
            raise ValueError(f"section {c['name']}")
        flags, align = c["flags"], c["align"]
        if flags & ~7 or flags & WRITE and flags & EXECINSTR or flags and not flags & ALLOC:
            raise ValueError(f"flags {flags:#x}")
        if c["data"] is None and (not flags & ALLOC or flags & EXECINSTR):
            raise ValueError("SHT_NOBITS that is not data")
        if not 1 <= align <= 65536 or align & (align - 1):
            raise ValueError(f"alignment {align}")
        total += c["size"] + align - 1
    if len(contents) > 16384 or total > 67108864:
        raise ValueError("too much to load")


def check_relocations(relocations, contents, symbols):
    targets = [target for target, _ in relocations]
    check_ascending(targets)
    for target, entries in relocations:
        if not 0 <= target < len(contents) or contents[target]["data"] is None or not entries:
            raise ValueError("relocations of what has none")
        before = 0
        for offset, _, symbol, _ in entries:
            if not before <= offset < contents[target]["size"] or symbol > len(symbols):
                raise ValueError("a relocation outside of its section, or of no symbol")
            before = offset


def check_symbols(symbols, contents):
    if len(symbols) > 1048576 or [s["bind"] != LOCAL for s in symbols] != sorted(s["bind"] != LOCAL for s in symbols):
        raise ValueError("too many symbols, or local ones behind others")
    seen = set()
    for s in symbols:
        if s["bind"] not in (LOCAL, GLOBAL, WEAK) or s["section"] > len(contents):
            raise ValueError(f"symbol {s['name']!r:.80}")
        if s["section"] == 0:
            allowed = s["type"] in (NOTYPE, OBJECT, FUNC, TLS) and s["bind"] != LOCAL and s["value"] == s["size"] == 0
        elif s["type"] == SECTION:
            allowed = s["bind"] == LOCAL and s["name"] == "" and s["value"] == s["size"] == 0
        else:
            allowed = s["type"] in (NOTYPE, OBJECT, FUNC) and s["value"] + s["size"] <= contents[s["section"] - 1]["size"]
        if not allowed:
            raise ValueError(f"symbol {s['name']!r:.80}")
        if s["type"] != SECTION:
            check_text(s["name"], 65536, 1)
        if s["bind"] != LOCAL:
            if s["name"] in seen:
                raise ValueError(f"symbol {s['name']!r:.80} twice")
            seen.add(s["name"])


def check_ranges(ranges):
    end = 0
    for r in ranges:
        check_text(r["name"], 65536, 1)
        start = address(r["addr"])
        if start == 0 or start < end:
            raise ValueError(f"range at {start:#x}")
        end = start + check_int(r["size"], 1, 1 << 40)
        if end >= 1 << 64:
            raise ValueError(f"range at {start:#x}")


def check_plain_ranges(ranges):
    for r in check_list(ranges, 1 << 32):
        check_members(r, ["name", "addr", "size"])
    check_ranges(ranges)


KINDS = {
    "image": ("addr", "func"),
    "dynamic": ("slot", "name", "version", "weak", "func"),
    "tls": ("addr",),
    "dynamic-tls": ("name", "version", "weak"),
}


def check_import(i):
    order = ["symbol", "kind", "addr", "slot", "name", "version", "weak", "func"]
    kind = i["kind"]
    allowed = KINDS[kind]
    check_members(i, [name for name in order if name in i])
    check_text(i["symbol"], 65536, 1)
    for name, value in list(i.items())[2:]:
        if name not in allowed:
            raise ValueError(f"{kind} with {name}")
        if name in ("addr", "slot") and address(value) == 0 or name in ("weak", "func") and value is not True:
            raise ValueError(f"{name} that has to be left out")
        if name in ("name", "version"):
            check_text(value, 65536, 1)
    if kind == "image" and "addr" not in i or kind.startswith("dynamic") and "name" not in i:
        raise ValueError(f"{kind} with too little")


STAGES = ["pre-apply", "post-apply", "pre-revert", "post-revert"]


def check_hooks(hooks, contents, symbols):
    if not 1 <= len(check_list(hooks, 256)):
        raise ValueError("an empty list of hooks")
    used = [name for h in hooks for name in (h["symbol"], h["progress"])]
    if len(set(used)) != len(used):
        raise ValueError("a symbol of two hooks")
    stages = [STAGES.index(h["stage"]) for h in hooks]
    if stages != sorted(stages):
        raise ValueError("stages out of order")
    for h in hooks:
        check_members(h, ["stage", "name", "symbol", "progress"])
        check_text(h["name"], 65536, 1)
        call, progress = ([s for s in symbols if s["section"] and s["name"] == check_text(h[m], 65536, 1)] for m in ("symbol", "progress"))
        if len(call) != 1 or len(progress) != 1 or call[0]["type"] == OBJECT or progress[0]["type"] == FUNC:
            raise ValueError(f"hook {h['name']!r:.80}")
        section = contents[call[0]["section"] - 1]
        if not section["flags"] & EXECINSTR or call[0]["value"] >= section["size"]:
            raise ValueError(f"hook {h['name']!r:.80} is no code")
        section = contents[progress[0]["section"] - 1]
        if not section["flags"] & WRITE or progress[0]["size"] < 12 or progress[0]["value"] % 4 or section["align"] < 4:
            raise ValueError(f"hook {h['name']!r:.80} has no place for its progress")


def check_table(table, critical, image, machine, contents, symbols):
    members = ["image", "functions", "imports", "quiet"]
    if "hooks" in table:
        members.append("hooks")
        if "hooks" not in critical:
            raise ValueError("hooks, which the manifest does not name")
        check_hooks(table["hooks"], contents, symbols)
    check_members(table, members)
    check_image(table["image"])
    if table["image"] != image or image["machine"] != MACHINES[machine]:
        raise ValueError("it belongs to another image")
    if not check_list(table["functions"], 1 << 32):
        raise ValueError("no functions")
    for f in table["functions"]:
        check_members(f, ["name", "addr", "size", "digest", "room", "symbol", "parts"])
        check_sha256(f["digest"])
        check_int(f["room"], 1, f["size"])
        check_plain_ranges(f["parts"])
        named = [s for s in symbols if s["section"] and s["name"] == check_text(f["symbol"], 65536, 1)]
        if len(named) != 1 or named[0]["type"] == OBJECT:
            raise ValueError(f"symbol {f['symbol']!r:.80}")
        section = contents[named[0]["section"] - 1]
        if not section["flags"] & EXECINSTR or named[0]["value"] >= section["size"]:
            raise ValueError(f"symbol {f['symbol']!r:.80} is no code")
    check_ranges(table["functions"])
    check_plain_ranges(table["quiet"])
    for i in check_list(table["imports"], 1 << 32):
        check_import(i)
    imported = [i["symbol"] for i in table["imports"]]
    check_ascending([name.encode() for name in imported])
    if set(imported) != {s["name"] for s in symbols if not s["section"]}:
        raise ValueError("imports and undefined symbols differ")


def check_payload(data, critical, image):
    with Layer("body") as layer:
        machine, contents, relocations, symbols, raw = parts = read_elf(data)
        check_contents(contents)
        check_relocations(relocations, contents, symbols)
        check_symbols(symbols, contents)
        layer.want(len(raw) <= 16777216, "size of the table")
        check_table(parse_canonical(raw), critical, image, machine, contents, symbols)
        layer.want(write_elf(*parts) == data, "not in canonical form")


# All of it


class Bundle:
    """A bundle whose manifest is signed and accepted."""

    def __init__(self, data, keys, threshold=1, now=None):
        end, manifest, self.frames, self.signatures = read_envelope(data)
        self.signed, self.raw_manifest = data[:end], manifest
        check_signatures(self.signed, self.signatures, keys, threshold)
        self.manifest = read_manifest(manifest, self.frames)
        check_policy(self.manifest, now)

    def payloads(self):
        """Give each image and its payload."""
        at = 0
        for info in self.manifest["payloads"]:
            payload = unpack(self.frames[at : at + info["packed_size"]], info)
            check_payload(payload, self.manifest["critical"], info["image"])
            at += info["packed_size"]
            yield info["image"], payload


def public_key(text):
    """Take a key as minisign writes it, or a file that has it."""
    if os.path.exists(text):
        with open(text, encoding="ascii") as file:
            text = file.read().split("\n")[1]
    return text


def main():
    parser = argparse.ArgumentParser(description="List, verify or extract a bundle.")
    parser.add_argument("command", choices=["list", "verify", "extract"])
    parser.add_argument("bundle")
    parser.add_argument("--key", action="append", default=[], type=public_key, help="trusted key: a file, or its text")
    parser.add_argument("--threshold", type=int, default=1)
    parser.add_argument("--time", type=seconds, help="what the clock says, as in a manifest")
    parser.add_argument("-d", "--directory", help="where to extract to; it must not be there")
    args = parser.parse_args()
    with open(args.bundle, "rb") as file:
        data = file.read()
    try:
        bundle = Bundle(data, args.key, args.threshold, args.time)
        if args.command == "list":
            for info in bundle.manifest["payloads"]:
                print(info["image"]["machine"], info["image"]["build_id"], info["size"], info["image"]["name"])
            return 0
        payloads = list(bundle.payloads())
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 3
    if args.command == "extract":
        files = {"manifest.json": bundle.raw_manifest, "signed": bundle.signed}
        for image, payload in payloads:
            files[f"{image['machine']}-{image['build_id']}.o"] = payload
        os.mkdir(args.directory)
        for name, content in files.items():
            with open(os.path.join(args.directory, name), "wb") as file:
                file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
