#!/usr/bin/env python3
"""Reads an evaq store, and judges it: its live records, what is torn, what is damaged, what is lost.

Written from FORMAT.md alone; the numbers in the comments are its chapters. Nothing but the standard library is used,
no lock is taken, and nothing is written. It is made to be read, not to be fast: a segment is held in memory.

    python3 reader.py <store>           prints one JSON object a line, and exits with 3 if anything is damaged:
    {"queue": ..., "nextId": ..., "clean": ...}
    {"record": {"queue", "id", "timestamp", "payload" (base64), and what its metadata says}}
    {"damage": {"queue", "file", "offset", "bytes", "what", "lossless"}}
    {"torn":   {"queue", "file", "offset", "bytes"}}    what a crash left; bytes that are all zero are left out
    {"lost":   {"queue", "firstId", "lastId"}}          records that cannot be read and were not removed

Beside a writer (--live) what cannot be read yet is no damage: see chapter 11.
"""
import base64
import bisect
import json
import os
import re
import stat
import struct
import sys
import zlib

MAX = 2**53 - 1
ROUND_MAX = 2**50
HEADER = 128  # two copies of 64 bytes
COMMIT = 48
BODY_MAX = 2**30 - 1
U32 = 0xFFFFFFFF


class NotReadable(Exception):
    """There is no store, or one of a format that this reader does not know: then it must stop (16)."""


def u32(b, at):
    return int.from_bytes(b[at : at + 4], "little")


def u48(b, at):
    return int.from_bytes(b[at : at + 6], "little")


def u64(b, at):
    return int.from_bytes(b[at : at + 8], "little")


# 2 Primitives


def mask(seed, offset, length, id):
    h = seed ^ ((offset & U32) * 0x9E3779B1 & U32)
    h = ((h ^ (h >> 15)) * 0x85EBCA77 & U32) ^ (offset >> 32)
    h = ((h ^ (h >> 13)) * 0xC2B2AE3D & U32) ^ length
    h = ((h ^ (h >> 16)) * 0x27D4EB2F & U32) ^ (id & U32)
    h = ((h ^ (h >> 15)) * 0x165667B1 & U32) ^ (id >> 32)
    h = (h ^ (h >> 13)) * 0x9E3779B1 & U32
    return h ^ (h >> 16)


def placed(data, seed, offset, length, id=0):
    return zlib.crc32(data) ^ mask(seed, offset, length, id)


class Malformed(Exception):
    """What cannot be decoded, though its checksum holds."""


class Varints:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def next(self):
        value = 0
        for i in range(8):
            if self.at >= len(self.data):
                raise Malformed("a varint ends early")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value > MAX:
                    raise Malformed("a varint is too large")
                return value
        raise Malformed("a varint has more than 8 bytes")


def ranges_of(varints, start, count):
    """Pairs of gap and length - 1, at most `count`, or up to the end of the bytes."""
    found, nxt = [], start
    while len(found) < count if count is not None else varints.at < len(varints.data):
        first = nxt + varints.next()
        last = first + varints.next()
        if last > MAX:
            raise Malformed("an ID is too large")
        found.append((first, last))
        nxt = last + 1
    return found


class Ids:
    """Ranges of IDs, merged. Never walked ID by ID: one may be as long as 2^52."""

    def __init__(self, ranges=()):
        self.list = []
        for first, last in sorted(ranges):
            if self.list and first <= self.list[-1][1] + 1:
                self.list[-1] = (self.list[-1][0], max(last, self.list[-1][1]))
            elif first <= last:
                self.list.append((first, last))
        self.firsts = [first for first, _ in self.list]

    def has(self, id):
        at = bisect.bisect_right(self.firsts, id) - 1
        return at >= 0 and id <= self.list[at][1]

    def without(self, other):
        left, at = [], 0
        for first, last in self.list:
            while at < len(other.list) and other.list[at][1] < first:
                at += 1
            look = at
            while first <= last and look < len(other.list) and other.list[look][0] <= last:
                if first < other.list[look][0]:
                    left.append((first, other.list[look][0] - 1))
                first = other.list[look][1] + 1
                look += 1
            if first <= last:
                left.append((first, last))
        return Ids(left)


# 3 The file header


class FileHeader:
    def __init__(self, raw, lossless):
        self.flags = raw[6] | raw[7] << 8
        self.uuid = raw[8:24]
        self.file_id, self.base_id, self.high_water = u64(raw, 24), u64(raw, 32), u64(raw, 40)
        self.seed = zlib.crc32(raw[0:4] + raw[8:24] + raw[24:32] + raw[56:60])
        self.queue_mark = raw[54] | raw[55] << 8  # of a segment: 0 if it does not say its queue
        self.lossless = lossless  # one of the two copies is damaged


def header_of(data, magic):
    """None if neither copy is valid (10)."""
    good = []
    for at in (0, 64):
        raw = data[at : at + 64]
        if len(raw) < 64 or raw[0:4] != magic or zlib.crc32(raw[:60]) != u32(raw, 60):
            continue
        if raw[4] != 1:
            raise NotReadable(f"made by a newer evaq: format {raw[4]}.{raw[5]}")
        if max(u64(raw, 24), u64(raw, 32), u64(raw, 40)) <= MAX:
            good.append(raw)
    return FileHeader(good[0], len(good) < 2) if good else None


# 4 Commits


class Commit:
    def __init__(self, data, at):
        self.at, self.kind, self.flags = at, data[at + 2], data[at + 3]
        self.count, self.bytes, self.sum = u32(data, at + 4), u32(data, at + 8), u32(data, at + 12)
        self.first_id, self.durable, self.time = u64(data, at + 16), u64(data, at + 24), u48(data, at + 32)
        self.round = u32(data, at + 40)
        self.body, self.end = at + COMMIT, at + COMMIT + self.bytes


def commit_at(data, end, seed, at):
    """A commit whose header is intact (10, 1 to 4), or None."""
    if at + COMMIT > end or data[at : at + 2] != b"\xc0\xe7":
        return None
    if placed(data[at : at + 44], seed, at, COMMIT) != u32(data, at + 44):
        return None
    found = Commit(data, at)
    return found if found.bytes <= BODY_MAX and found.first_id <= MAX and found.durable <= MAX else None


def is_whole(data, end, seed, commit):
    """Whether its body is valid as well (10, 5 and 6)."""
    if commit.end > end:
        return False
    if commit.kind == 1 and commit.flags & 2:
        heads, at = [], commit.body
        for _ in range(commit.count):
            if at + 8 > commit.end:
                return False
            heads.append(data[at : at + 8])
            at += (16 if commit.flags & 1 else 8) + (u32(data, at) & 0x3FFFFFFF)
        strung = b"".join(heads)
        if at != commit.end or placed(strung, seed, commit.body, len(strung)) != commit.sum:
            return False
        return len(records_of(data, seed, commit)) == commit.count
    return placed(data[commit.body : commit.end], seed, commit.body, commit.bytes) == commit.sum


def scan(data, end, seed):
    """All valid commits from 128 to `end`, and the bad ranges between: (from, to, commit if its header is intact)."""
    commits, bad, at = [], [], HEADER
    while at < end:
        commit = commit_at(data, end, seed, at)
        if commit is None:
            start = at
            while commit is None:
                at = data.find(b"\xc0\xe7", at + 1, end)
                if at < 0:
                    bad.append((start, end, None))
                    return commits, bad
                commit = commit_at(data, end, seed, at)
            bad.append((start, at, None))
        if is_whole(data, end, seed, commit):
            commits.append(commit)
        else:
            bad.append((at, min(commit.end, end), commit))
        at = commit.end
    return commits, bad


# 5 Record frames


class Body:
    """The frames of a commit of records, whole or damaged."""

    def __init__(self, data, seed, start, end, first_id, count, time, sparse, entries=()):
        self.data, self.seed, self.start, self.end = data, seed, start, min(end, len(data))
        self.first_id, self.count, self.time, self.sparse = first_id, count, time, sparse
        self.entries = sorted(one for one in entries if start <= one[0] < end)  # (offset, ID) out of the index
        self.head = 16 if sparse else 8
        self.top = min(first_id + (2**32 if sparse else count) - 1, MAX - 1)
        self.left = 4 * (self.end - self.start) + 4 * 1024 * 1024  # bytes to be summed in a search

    def after(self, at, limit):
        """Where the frame at `at` ends by its length word, or None if that or its metadata does not fit."""
        if at + self.head > limit:
            return None
        word = u32(self.data, at)
        body, after = at + self.head, at + self.head + (word & 0x3FFFFFFF)
        if word & 0x40000000 or after > limit:
            return None
        if word & 0x80000000 and (after - body < 4 or u32(self.data, body) > after - body - 4):
            return None
        return after

    def record(self, at, id, limit, summed=True):
        """The record at `at` with this ID (sparse: with one from this ID on), and where it ends; or None. `summed`: by its own checksum."""
        after = self.after(at, limit)
        if after is None:
            return None
        if self.sparse:
            named = self.first_id + u32(self.data, at + 8)
            if named < id:
                return None
            id = named
        word = u32(self.data, at)
        if id > self.top or (summed and placed(self.data[at + 8 : after], self.seed, at, word, id) != u32(self.data, at + 4)):
            return None
        time = min(self.time + (u32(self.data, at + 12) if self.sparse else 0), 2**48 - 1)
        return (id, time, word, self.data[at + self.head : after]), after

    def whole(self, summed=False):
        """The records of a valid commit, whose checksum is theirs."""
        found, at, id = [], self.start, self.first_id
        while len(found) < self.count:
            one = self.record(at, id, self.end, summed)
            if one is None:
                break
            found.append(one[0])
            at, id = one[1], one[0][0] + 1
        self.holds = len(found) == self.count and at == self.end
        return found

    def salvaged(self):
        """The records of a damaged one (10)."""
        found, at, id = [], self.start, self.first_id
        while at < self.end:
            place = bisect.bisect_right(self.entries, (at, MAX))
            limit, bound = self.entries[place] if place < len(self.entries) else (self.end, self.top + 1)
            if place > 0 and self.entries[place - 1][0] == at:
                id = self.entries[place - 1][1]
            one = self.record(at, id, limit) or self.next(at, id, limit, bound)
            if one is None:
                at, id = limit, bound
                continue
            found.append(one[0])
            at, id = one[1], one[0][0] + 1
        return found

    def led_to(self, at, id, limit):
        known = id
        while at + self.head <= limit and self.left > 0:
            at, id = at + self.head + (u32(self.data, at) & 0x3FFFFFFF), id + 1
            self.left -= self.head
            if at < limit:
                one = self.record(at, known + 1 if self.sparse else id, limit)
                if one:
                    return at, one
        return None

    def next(self, at, id, limit, bound):
        led = self.led_to(at, id, limit)
        stop, stop_id = (led[0], led[1][0][0]) if led else (limit, bound)
        tried = 0
        for offset in range(at + 1, stop):
            after = self.after(offset, limit)
            if after is None or self.left <= 0:
                continue
            low, high = id + 1, min(stop_id - 1, self.top)
            if self.sparse:
                named = self.first_id + u32(self.data, offset + 8)
                low, high = max(low, named), min(high, named)
            else:
                high = min(high, id + (offset - at) // 8)
            if high < low:
                continue
            tried += 1
            self.left -= after - offset
            for one in self.tried(offset, limit, low, high):
                if self.is_confirmed(one, limit, bound, led) or tried * (high - low + 1) <= 256:
                    return one
        return led[1] if led else None

    def tried(self, offset, limit, low, high):
        if self.sparse:
            one = self.record(offset, low, limit)
            return [one] if one else []
        after, word = self.after(offset, limit), u32(self.data, offset)
        wanted = zlib.crc32(self.data[offset + 8 : after]) ^ u32(self.data, offset + 4)
        ids = ids_of_mask(wanted, self.seed, offset, word, low, high)
        return [one for one in (self.record(offset, id, limit) for id in ids) if one]

    def is_confirmed(self, one, limit, bound, led):
        (id, _, _, _), after = one
        follows = (lambda other: other > id) if self.sparse else (lambda other: other == id + 1)
        if led and after == led[0]:
            return follows(led[1][0][0])
        if after == limit:
            return follows(bound) or (self.sparse and limit == self.end)
        return self.record(after, id + 1, limit) is not None


def unshift(value, bits):
    """Undoes value ^ (value >> bits)."""
    result = value
    for _ in range(32 // bits):
        result = value ^ (result >> bits)
    return result


def ids_of_mask(wanted, seed, offset, length, low, high):
    """The IDs from `low` to `high` with this mask: each step of it can be taken back."""
    h = seed ^ ((offset & U32) * 0x9E3779B1 & U32)
    h = ((h ^ (h >> 15)) * 0x85EBCA77 & U32) ^ (offset >> 32)
    h = ((h ^ (h >> 13)) * 0xC2B2AE3D & U32) ^ length
    before = (h ^ (h >> 16)) * 0x27D4EB2F & U32
    h = unshift(wanted, 16) * pow(0x9E3779B1, -1, 2**32) & U32
    found = []
    for hi in range(low >> 32, min(high >> 32, (low >> 32) + 1) + 1):
        part = (unshift(h, 13) ^ hi) * pow(0x165667B1, -1, 2**32) & U32
        id = hi << 32 | unshift(part, 15) ^ before
        if low <= id <= high:
            found.append(id)
    return found


def body_of(data, seed, commit, entries=()):
    return Body(data, seed, commit.body, commit.end, commit.first_id, commit.count, commit.time, commit.flags & 1, entries)


def records_of(data, seed, commit):
    """Of one that is summed by heads: each of its frames has to fit."""
    return body_of(data, seed, commit).whole(True)


# 6 Metadata


def unpack(data, at, depth=0):
    """One MessagePack value and where it ends. Lengths are held against what is there before anything is made of them."""
    if depth > 64 or at >= len(data):
        raise Malformed("metadata")
    tag, at = data[at], at + 1

    def number(form):
        if at + struct.calcsize(form) > len(data):
            raise Malformed("metadata")
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)

    def many(count, at, each):
        values = []
        if count * each > len(data) - at:
            raise Malformed("metadata")
        for _ in range(count * each):
            value, at = unpack(data, at, depth + 1)
            values.append(value)
        return values, at

    def mapping(count, at):
        values, at = many(count, at, 2)
        return {k: v for k, v in zip(values[::2], values[1::2]) if isinstance(k, str)}, at

    def some(count, at, as_text):
        if count > len(data) - at:
            raise Malformed("metadata")
        raw = data[at : at + count]
        return (raw.decode("utf-8", "replace") if as_text else bytes(raw)), at + count

    if tag < 0x80:
        return tag, at
    if tag < 0x90:
        return mapping(tag & 15, at)
    if tag < 0xA0:
        return many(tag & 15, at, 1)
    if tag < 0xC0:
        return some(tag & 31, at, True)
    if tag >= 0xE0:
        return tag - 256, at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag in range(0xCA, 0xD4):
        return number((">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q")[tag - 0xCA])
    if tag in range(0xD4, 0xD9):
        return some(1 + (1 << (tag - 0xD4)), at, False)
    if tag == 0xC1:
        raise Malformed("metadata")
    sizes = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xC7: ">B", 0xC8: ">H", 0xC9: ">I", 0xD9: ">B", 0xDA: ">H"}
    count, at = number(sizes.get(tag, ">H" if tag in (0xDC, 0xDE) else ">I"))
    if tag in (0xDC, 0xDD):
        return many(count, at, 1)
    if tag in (0xDE, 0xDF):
        return mapping(count, at)
    return some(count + (tag in (0xC7, 0xC8, 0xC9)), at, tag in (0xD9, 0xDA, 0xDB))


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and -MAX <= value <= MAX


def meta_of(block):
    """What the block says under its keys, without values of another type."""
    try:
        told, end = unpack(block, 0)
    except Malformed:
        return {}
    if end != len(block) or not isinstance(told, dict):
        return {}
    meta = {}
    h, o = told.get("h"), told.get("o")
    if isinstance(h, dict):
        meta["headers"] = {key: value for key, value in h.items() if isinstance(value, str)}
    if isinstance(o, list) and len(o) == 3 and isinstance(o[0], str) and is_int(o[1]) and is_int(o[2]):
        meta["origin"] = {"queue": o[0], "id": o[1], "timestamp": o[2]}
    i, f = told.get("i"), told.get("f")
    if isinstance(i, list) and len(i) == 2 and isinstance(i[0], str) and is_int(i[1]):
        meta["identity"] = {"queue": i[0], "id": i[1]}
    if isinstance(f, list) and len(f) == 2 and is_int(f[0]) and is_int(f[1]):
        meta["failedMs"] = f
    for key, name in (("r", "reason"), ("m", "messageId")):
        if isinstance(told.get(key), str):
            meta[name] = told[key]
    for key, name in (("a", "attempts"), ("d", "dueMs"), ("v", "redrives")):
        if is_int(told.get(key)):
            meta[name] = told[key]
    if isinstance(told.get("e"), dict):
        meta["error"] = told["e"]
    return meta


def record_of(queue, id, time, word, body):
    record = {"queue": queue, "id": id, "timestamp": time}
    if word & 0x80000000:
        record.update(meta_of(body[4 : 4 + u32(body, 0)]))
        body = body[4 + u32(body, 0) :]
    record["payload"] = base64.b64encode(body).decode()
    return record


# 8 The footer


class Footer:
    def __init__(self, data, seed):
        n, at = len(data), len(data) - 96
        if n < 144 or data[at : at + 4] != b"EvqF" or placed(data[at : at + 92], seed, at, 92) != u32(data, at + 92):
            raise Malformed("no footer")
        self.first_id, self.last_id, self.payload = u64(data, at + 8), u64(data, at + 16), u64(data, at + 40)
        self.count, self.data_end, index, self.round = u32(data, at + 48), u32(data, at + 52), u32(data, at + 56), u64(data, at + 76)
        runs, replaced, times = u32(data, at + 64), u32(data, at + 68), u32(data, at + 88)
        start = self.data_end + COMMIT + index
        if start + runs + 8 * replaced + times != at or self.data_end + u32(data, at + 4) != n:
            raise Malformed("no footer")
        middle = data[start:at]
        if placed(middle, seed, start, len(middle)) != u32(data, at + 72):
            raise Malformed("no footer")
        if max(self.first_id, self.last_id, self.payload) > MAX or self.round > ROUND_MAX:
            raise Malformed("no footer")
        self.replaces = [u64(middle, runs + 8 * i) for i in range(replaced)]
        if any(one > MAX for one in self.replaces):
            raise Malformed("no footer")
        has_runs = u32(data, at + 84) & 1
        told = ranges_of(Varints(middle[:runs]), self.first_id, None)
        self.ids = Ids(told if has_runs else [(self.first_id, self.last_id)])
        held = sum(last - first + 1 for first, last in told) if has_runs else self.last_id - self.first_id + 1
        ends = told[-1][1] if told else self.last_id if not has_runs else self.first_id - 1
        if self.data_end < HEADER or 8 * self.count > self.data_end or held != self.count or ends != self.last_id:
            raise Malformed("no footer")
        self.least, self.greatest = u48(data, at + 24), u48(data, at + 32)
        if self.count > 0 and self.least > self.greatest:
            raise Malformed("no footer")
        spans, id = Varints(middle[runs + 8 * replaced :]), 0
        self.spans = []  # (first ID, least, greatest)
        while spans.at < times:
            id += spans.next()
            least = spans.next()
            self.spans.append((id, least, least + spans.next()))
            if id > MAX or self.spans[-1][2] >= 2**48:
                raise Malformed("no footer")
        at_index = self.data_end + COMMIT
        self.entries, self.wide = [], []  # (offset, ID, mid) and (offset, end, first ID, time)
        self.index_holds = placed(data[at_index:start], seed, at_index, index) == u32(data, at + 60)
        if self.index_holds:
            try:
                self.read_index(Varints(data[at_index:start]))
            except Malformed:
                self.index_holds, self.entries, self.wide = False, [], []

    def read_index(self, varints):
        id = offset = 0
        for _ in range(varints.next()):
            gap, packed = varints.next(), varints.next()
            id, offset = id + gap, offset + packed // 2
            if offset >= self.data_end or not 1 <= id <= MAX or (gap == 0 and self.entries):
                raise Malformed("index")
            self.entries.append((offset, id, packed % 2))
        id = offset = 0
        for _ in range(varints.next()):
            offset += varints.next()
            size, id = varints.next(), id + varints.next()
            self.wide.append((offset, offset + size, id, varints.next()))
            if offset + size > self.data_end or id > MAX or self.wide[-1][3] >= 2**48:
                raise Malformed("index")
        if varints.at != len(varints.data):
            raise Malformed("index")


def footer_of(data, seed):
    try:
        return Footer(data, seed)
    except Malformed:
        return None


# 9 The tombstone log


class Removals:
    """What all tombstone logs of a queue say together."""

    def __init__(self):
        self.ranges, self.durable = [], {}
        self.next_id, self.sealed_below, self.last_round = 1, 0, 0
        self.accounted_below, self.data_segment, self.close, self.has_intake = 0, 0, None, False

    def raise_durable(self, segment, offset):
        self.durable[segment] = max(offset, self.durable.get(segment, 0))

    def take(self, commit, body, accounts):
        """Throws Malformed, and has taken nothing, if the body cannot be decoded."""
        numbers = [u64(body, 8 * i) for i in range(6)]
        if len(body) < 48 or max(numbers) > MAX or commit.first_id > ROUND_MAX or not 16 <= commit.kind <= 18:
            raise Malformed("a round")
        varints = Varints(body, 48)
        ranges = ranges_of(varints, 0, commit.count)
        if varints.at != len(body):
            raise Malformed("a round")
        self.ranges += ranges
        self.next_id = max(self.next_id, numbers[0])
        self.raise_durable(numbers[1], numbers[2])
        self.sealed_below = max(self.sealed_below, numbers[3])
        self.last_round = max(self.last_round, commit.first_id)
        self.has_intake = bool(commit.flags & 4)
        if accounts:
            self.accounted_below = max(self.accounted_below, numbers[5] if commit.kind == 17 else numbers[0])
        return numbers


def read_log(data, header, removals, newest, tell, torn):
    """Takes in all that is valid; judges it if it is the newest one (12)."""
    commits, bad = scan(data, len(data), header.seed)
    parts, highest, is_whole, missing, last, good_end, decoded = 0, 0, False, False, None, HEADER, []
    for commit in commits:
        try:
            numbers = removals.take(commit, data[commit.body : commit.end], header.flags & 1)
        except Malformed:
            bad = sorted(bad + [(commit.at, commit.end, commit)], key=lambda one: one[:2])
            continue
        decoded.append(commit)
        # The snapshot first, all parts of it, with one number; then one round after the other. Twins have the same.
        if commit.kind == 16:
            part = numbers[5] >> 1
            missing = missing or (parts > 0 and commit.first_id != highest) or part > parts
            parts, is_whole = max(parts, part + 1), is_whole or numbers[5] & 1 == 1
        else:
            missing = missing or not is_whole or commit.first_id > highest + 1
            is_whole = True
        highest = max(highest, commit.first_id)
        last = (commit.at, commit.kind, numbers[5])
        good_end, removals.data_segment = commit.end, numbers[1]
    if not newest:
        return
    durable = max([header.base_id] + [commit.durable for commit in decoded])
    missing = missing or not is_whole
    if header.base_id > len(data) or durable > len(data):
        tell(len(data), 0, "the end of the tombstone log is gone", False)
    for start, end, _ in bad:
        if start < durable:
            tell(start, end - start, "a round is damaged", not missing)
    if missing and not any(start < max(durable, good_end) for start, _, _ in bad):  # a torn range in front of a good round held them
        tell(HEADER, 0, "rounds of the tombstone log are missing", False)
    ends = [one for one in bad if one[0] >= durable and (one[2] is not None or one[1] <= good_end)]
    if ends:
        torn(ends[0][0], ends[-1][1] - ends[0][0])
    if last is not None and last[1] == 18 and not any(start > last[0] and any(data[start:end]) and start < durable for start, end, _ in bad):
        removals.close = last[2]


# 11 and 12, one queue


def is_segment(name):
    return re.fullmatch(r"[0-9]{20}-[0-9a-f]{16}\.seg", name) is not None and max(int(name[:20]), int(name[21:37], 16)) <= MAX


class Segment:
    def __init__(self, name, path):
        self.name, self.path = name, path
        self.base_id, self.id = int(name[:20]), int(name[21:37], 16)
        self.data, self.header, self.footer = b"", None, None
        self.commits, self.bad, self.records, self.lost = [], [], [], []
        self.last_id, self.durable, self.is_foreign, self.contradicts = self.base_id - 1, 0, False, False
        self.is_open = False  # how far it goes is not known
        self.is_link_lost, self.is_misplaced, self.mentioned = False, False, 0
        self.footer_at = MAX  # of a footer of which at least the header is intact: no record stands behind it
        self.places = set()  # (offset, ID) of commits and frames


class Queue:
    def __init__(self, store, name, uuid, registered, live):
        self.store, self.name, self.uuid, self.registered, self.beside = store, name, uuid, registered, live
        self.dir = os.path.join(store, "queues", name)
        self.damage, self.torn, self.lost, self.records, self.moved = [], [], Ids(), [], []
        self.removals, self.segments, self.next_id, self.clean, self.removals_lost = Removals(), [], 1, False, False
        self.doubtful = False
        self.segment_ids = set()
        self.names = sorted(os.listdir(self.dir)) if os.path.isdir(self.dir) else []
        self.read_logs()
        self.read_segments()
        self.judge_all()

    def tell(self, file, offset, size, what, lossless):
        path = os.path.join(self.dir, file) if file else self.dir
        self.damage.append({"queue": self.name, "file": path, "offset": offset, "bytes": size, "what": what, "lossless": lossless})

    def tell_torn(self, name, offset, size, recycled=False):
        if not self.beside:
            self.torn.append({"queue": self.name, "file": os.path.join(self.dir, name), "offset": offset, "bytes": size, "recycled": recycled})

    def load(self, name, magic):
        """The bytes and the header of a file of this store, or None: then that has been told."""
        path = os.path.join(self.dir, name)
        if not stat.S_ISREG(os.lstat(path).st_mode):
            self.tell(name, 0, 0, "not a regular file", False)
            return b"", None
        with open(path, "rb") as file:
            data = file.read()
        header = header_of(data, magic)
        if header is not None and header.uuid != self.uuid:
            self.tell(name, 0, len(data), "a file of another store", False)
            return data, None
        if header is not None and header.lossless:
            self.tell(name, 0, HEADER, "one copy of the header is damaged", True)
        return data, header

    def read_logs(self):
        names = [name for name in self.names if re.fullmatch(r"[0-9a-f]{16}\.tomb", name) and int(name[:16], 16) <= MAX]
        for name in names:
            data, header = self.load(name, b"EvqT")
            if header is None:
                if not self.damage or self.damage[-1]["file"] != os.path.join(self.dir, name):
                    self.tell(name, 0, len(data), "the header of a tombstone log is damaged", False)
            elif header.high_water != zlib.crc32(self.name.encode()):
                self.tell(name, 0, len(data), "the tombstone log of another queue", False)
            else:
                tell = lambda *what, name=name: self.tell(name, *what)
                read_log(data, header, self.removals, name == names[-1], tell, lambda *place, name=name: self.tell_torn(name, *place))
        # What they said of the data is lost with removals.
        self.is_witnessed = not any(not one["lossless"] for one in self.damage)
        if self.removals.has_intake and not any(re.fullmatch(r"[0-9a-f]{16}\.itk", name) for name in self.names):
            self.tell("", 0, 0, "the intake log is missing", False)
        has_segments = any(is_segment(name) for name in self.names)
        if not names and has_segments:
            self.is_witnessed = False
            self.tell("", 0, 0, "there is no tombstone log", False)
            self.removals_lost = True
        if self.registered and not (names and has_segments):
            self.tell("", 0, 0, "the files of the queue were taken away", False)

    def read_segments(self):
        found = [name for name in self.names if is_segment(name)]
        self.segments = [Segment(name, os.path.join(self.dir, name)) for name in found]
        self.segment_ids = {segment.id for segment in self.segments}
        for segment in self.segments:
            segment.data, header = self.load(segment.name, b"EvqS")
            mark = zlib.crc32(self.name.encode()) % 65535 + 1
            if header is None:
                continue
            if (header.base_id, header.file_id) != (segment.base_id, segment.id):
                segment.is_misplaced = True
                self.tell(segment.name, 0, len(segment.data), "another segment's file", False)
            elif header.queue_mark not in (0, mark):
                self.tell(segment.name, 0, len(segment.data), "a segment of another queue", False)
                segment.is_foreign = True
            else:
                segment.header, segment.footer = header, footer_of(segment.data, header.seed)
        # 14: who is replaced is settled before anybody is judged.
        replaced = {id for one in self.segments if one.footer for id in one.footer.replaces if id != one.id}
        self.leftovers = [one for one in self.segments if one.id in replaced]
        self.damage = [one for one in self.damage if one["file"] not in {left.path for left in self.leftovers}]
        self.segments = [one for one in self.segments if one.id not in replaced and not one.is_foreign]
        durable, link_lost = self.removals.durable, False
        for segment in reversed(self.segments):
            was_lost, link_lost = link_lost, False
            if segment.header is None:
                continue
            if segment.footer and not self.is_known_sealed(segment) and durable.get(segment.id, 0) < len(segment.data):
                # Nothing says that it was synced: a crash may have left the end of it alone.
                sealing = commit_at(segment.data, len(segment.data), segment.header.seed, segment.footer.data_end)
                if sealing is None or not is_whole(segment.data, len(segment.data), segment.header.seed, sealing):
                    segment.mentioned, segment.footer = segment.footer.round, None
            end = segment.footer.data_end if segment.footer else len(segment.data)
            segment.commits, segment.bad = scan(segment.data, end, segment.header.seed)
            own = [commit.durable for commit in segment.commits if commit.kind != 2]
            segment.durable = max([durable.get(segment.id, 0)] + own)
            if not segment.footer:
                self.judge_unsealed(segment, self.is_witnessed and not was_lost)
            link_lost = segment.is_link_lost = self.lacks_link(segment)
            for commit in segment.commits:
                if commit.kind == 2:
                    self.removals.raise_durable(commit.first_id, commit.durable)
        last = self.segments[-1] if self.segments else None
        if last and last.header is None and self.never_held_anything(last):
            self.segments.pop()
        for at, segment in enumerate(self.segments):
            # A base ID says nothing of the segment before: it was given out when that one was still written.
            firsts = [one.first_id for later in self.segments[at + 1 :] for one in later.commits if one.kind == 1]
            self.read_segment(segment, firsts[0] - 1 if firsts else None)

    def never_held_anything(self, segment):
        told = any(one["file"] == segment.path for one in self.damage)
        blank = len(segment.data) < HEADER or not any(segment.data)
        return not told and blank and self.removals.durable.get(segment.id, 0) == 0

    def end_of_life(self, segment):
        """Up to where bytes of this life of the file stand for certain."""
        recycled = bool(segment.header.flags & 4)
        ends = [commit.end for commit in segment.commits if commit.kind == 1]
        ends += [end for start, end, head in segment.bad if head is not None or not (recycled or not any(segment.data[start:end]))]
        return max(ends, default=0)

    def is_known_sealed(self, segment):
        return bool(segment.header.flags & 1) or segment.id < self.removals.sealed_below

    def lacks_link(self, segment):
        """Whether what stands in the place of its link is damaged, so that nothing tells which segment was in front of it (7)."""
        is_rotten = any(start == HEADER and commit is None for start, end, commit in segment.bad if start < end)
        return is_rotten and not segment.header.flags & 1 and not any(commit.kind == 2 for commit in segment.commits)

    def footer_at(self, segment):
        """From where on damage costs nothing (12)."""
        heads = [one for one in segment.commits + [bad[2] for bad in segment.bad] if one is not None]
        at = max((one.at for one in heads if one.kind == 3), default=MAX)
        if segment.header.flags & 1 or any(one.at > at for one in segment.commits if one.kind in (1, 2)):
            return MAX
        return MAX if any(start > at and head is not None for start, _, head in segment.bad) else at

    def judge_unsealed(self, segment, is_witnessed):
        """The table of 12: cuts what is torn off the lists of the segment."""
        segment.footer_at = self.footer_at(segment)
        sealed = self.is_known_sealed(segment)
        durable = max(segment.durable, 0 if is_witnessed else self.end_of_life(segment))
        of_footer = any(segment.footer_at <= start < durable for start, _, _ in segment.bad)  # then what follows is of it, too
        torn = [start for start, _, _ in segment.bad if not sealed and start >= durable]
        torn_at = next((start for start in torn if not (of_footer and start >= segment.footer_at)), None)
        if torn_at is not None:
            segment.commits = [commit for commit in segment.commits if commit.end <= torn_at]
            segment.bad = [bad for bad in segment.bad if bad[0] < torn_at]
            rest = segment.data[torn_at:]
            if any(rest):
                self.tell_torn(segment.name, torn_at, len(rest), bool(segment.header.flags & 4))
        has_footer = any(commit.kind == 3 for commit in segment.commits)
        size = max(len(segment.data), HEADER)
        told = bool(segment.bad) and segment.bad[-1][1] >= max(size, segment.durable)
        told = told or any(start >= segment.footer_at for start, _, _ in segment.bad)
        if not told and (size < segment.durable or (sealed and not has_footer)):
            segment.bad.append((size, max(size, segment.durable), None))

    def read_segment(self, segment, after):
        """Its records, and which IDs are lost. `after`: the last ID that it may hold, None if there is no later segment."""
        if segment.header is None:
            if not any(one["file"] == segment.path for one in self.damage):
                self.tell(segment.name, 0, len(segment.data), "the header of a segment is damaged", False)
            segment.lost.append((max(segment.base_id, 1), after))
            return
        footer = segment.footer
        last = footer.last_id if footer else after
        nxt = segment.base_id
        items = sorted([(one.at, one.end, one, True) for one in segment.commits] + [(*bad, False) for bad in segment.bad], key=lambda item: item[:2])
        seed, sparse = segment.header.seed, segment.header.flags & 1
        entries = [one[:2] for one in footer.entries if one[2]] if footer else []
        for at, (start, end, commit, whole) in enumerate(items):
            for wide in footer.wide if footer and commit is None else []:
                if start <= wide[0] < end:
                    # Its header is lost, and the index knows what stood there.
                    behind = next((id for offset, id, _ in footer.entries if offset >= wide[1]), footer.last_id + 1)
                    body = Body(segment.data, seed, wide[0] + COMMIT, wide[1], wide[2], behind - wide[2], wide[3], sparse, entries)
                    segment.records += body.salvaged()
            if segment.footer_at <= start < len(segment.data) and not whole:
                self.tell(segment.name, start, end - start, "the footer is damaged; what it says stands in the commits", True)
                continue
            if commit is None or (commit.kind != 1 and not whole):
                following = [item[2].first_id for item in items[at + 1 :] if item[2] and item[2].kind == 1]
                segment.lost.append((nxt, following[0] - 1 if following else last))
                self.tell(segment.name, start, end - start, "frames are damaged", False)
                continue
            if commit.kind != 1:
                continue
            if whole and (commit.first_id < nxt or (footer and commit.first_id > footer.last_id)):
                following = [item[2].first_id for item in items[at + 1 :] if item[2] and item[2].kind == 1]
                segment.lost.append((nxt, following[0] - 1 if following else last))
                self.tell(segment.name, start, end - start, f"a commit with records from {commit.first_id} on contradicts itself", False)
                segment.contradicts, segment.is_open = True, not following
                found = body_of(segment.data, seed, commit, entries).salvaged()
                found = [one for one in found if one[0] >= nxt and (not footer or one[0] <= footer.last_id)]
                segment.records += found
                nxt = found[-1][0] + 1 if found else nxt
                continue
            body = body_of(segment.data, seed, commit, entries)
            found = body.whole() if whole else body.salvaged()
            beyond = [one[0] for one in found if footer and one[0] > footer.last_id]
            if beyond:
                found = [one for one in found if one[0] <= footer.last_id]
                body.holds = False
            elif whole and not body.holds:
                known = found[-1][0] if found else commit.first_id - 1
                found += [one for one in body.salvaged() if one[0] > known]
            if not whole or not body.holds:
                following = [item[2].first_id for item in items[at + 1 :] if item[2] and item[2].kind == 1]
                through = following[0] - 1 if following else last
                dense = commit.first_id + min(commit.count, commit.bytes // 8) - 1
                segment.lost.append((commit.first_id, through if commit.flags & 1 else min(dense, MAX - 1)))
                self.tell(segment.name, start, end - start, "a commit is damaged", False)
                segment.contradicts = segment.contradicts or whole
                if commit.flags & 1 and len(found) < commit.count and not following:
                    segment.is_open = True
            place = commit.body
            for at_first, (id, _, word, _) in enumerate(found if whole else []):
                segment.places |= {(place, id), (commit.at, id)} if at_first == 0 else {(place, id)}
                place += body.head + (word & 0x3FFFFFFF)
            for id, time, word, body in found:
                if id < nxt:
                    self.tell(segment.name, start, end - start, f"record {id} stands behind record {nxt - 1}", False)
                    break
                segment.records.append((id, time, word, body))
                nxt = id + 1
        segment.last_id = nxt - 1
        if footer:
            self.check_footer(segment)

    def check_footer(self, segment):
        footer, end = segment.footer, segment.footer.data_end
        sealing = commit_at(segment.data, len(segment.data), segment.header.seed, end)
        if not footer.index_holds or sealing is None or not is_whole(segment.data, len(segment.data), segment.header.seed, sealing):
            self.tell(segment.name, end, len(segment.data) - end, "the footer is damaged; its summary is intact", True)
        if segment.bad or segment.contradicts:
            segment.lost.append((footer.first_id, footer.last_id))
            return
        if not all((offset, id) in segment.places for offset, id, _ in footer.entries):
            self.tell(segment.name, end, len(segment.data) - end, "the index points to where no record is", False)
        times = [time for _, time, _, _ in segment.records]
        if times and ((min(times), max(times)) != (footer.least, footer.greatest) or not self.are_in_spans(segment)):
            self.tell(segment.name, end, len(segment.data) - end, "the footer tells of other times", False)
        payload = sum(len(body) - (4 + u32(body, 0) if word & 0x80000000 else 0) for _, _, word, body in segment.records)
        ids = [id for id, _, _, _ in segment.records]
        ends = (ids[0], ids[-1]) if ids else (footer.first_id, footer.first_id - 1)
        lies = (len(ids), payload, *ends) != (footer.count, footer.payload, footer.first_id, footer.last_id)
        if lies or any(not footer.ids.has(id) for id in ids):
            self.tell(segment.name, end, len(segment.data) - end, "the footer tells of other records", False)
            segment.lost.append((footer.first_id, footer.last_id))

    def are_in_spans(self, segment):
        """Whether the time of each record lies within its span (8)."""
        spans, at = segment.footer.spans, -1
        for id, time, _, _ in segment.records if spans else []:
            while at + 1 < len(spans) and spans[at + 1][0] <= id:
                at += 1
            if at < 0 or not spans[at][1] <= time <= spans[at][2]:
                return False
        return True

    def judge_all(self):
        """What is known of the whole queue: 12 behind the table, and 13."""
        removed = Ids(self.removals.ranges)
        nxt, present, lost = max(1, self.removals.next_id), [], []
        if removed.list:
            nxt = max(nxt, removed.list[-1][1] + 1)
        for segment in self.segments:
            size = len(segment.data)
            nxt = max(nxt, segment.base_id, segment.last_id + 1)
            if segment.header is None:
                nxt = max(nxt, segment.base_id + (size + 7) // 8)
        self.clean = self.removals.close is not None and all(one.footer for one in self.segments if one.records)
        for segment in self.segments:
            if segment.header and segment.header.flags & 2 and not segment.footer and not self.clean:
                nxt = max(nxt, segment.header.high_water)
            for first, last in segment.lost:
                nxt = max(nxt, last + 1 if last is not None else first)
        self.next_id = min(nxt, MAX)
        given = self.next_id
        if self.clean:  # then the IDs that were given out are known
            given = min(given, max([self.removals.next_id] + [one.last_id + 1 for one in self.segments if one.records]))
        for segment in self.segments:
            present += [(id, id) for id, _, _, _ in segment.records]
            for first, last in segment.lost:
                through = given - 1 if last is None else last
                inside = Ids([(first, through)])
                if segment.footer and len(segment.footer.ids.list):
                    inside = inside.without(Ids([(0, MAX)]).without(segment.footer.ids))
                lost += inside.list
        here = Ids(present)
        self.lost = Ids(lost).without(here).without(removed)
        for segment in self.segments:
            self.records += [one for one in segment.records if not removed.has(one[0])]
            if segment.footer is None:
                self.moved += [record_of(self.name, *one).get("origin") for one in segment.records if one[2] & 0x80000000]
        if self.check_overlaps():
            return
        self.check_rounds()
        self.check_missing(here, removed)

    def check_overlaps(self):
        """Whether two segments hold the same IDs: nobody may choose between them, and nothing else is said of the queue."""
        before = None
        for segment in self.segments:
            if segment.records:
                if before and before.records[-1][0] >= segment.records[0][0]:
                    self.records, self.damage, self.torn, self.lost, self.moved = [], [], [], Ids(), []
                    self.tell(segment.name, 0, 0, f"it holds the same IDs as {before.name}", False)
                    return True
                before = segment
        return False

    def check_rounds(self):
        last = self.removals.last_round
        for segment in self.segments:
            told = [segment.footer.round if segment.footer else segment.mentioned]
            for commit in [] if segment.footer else segment.commits:
                if commit.kind != 2:
                    ahead = (commit.round - last) & U32
                    # Behind the first one there is none.
                    told.append(last + ahead if ahead < 2**31 or last + ahead < 2**32 else last)
            if told and max(told) > last and not self.beside:
                self.tell("", 0, 0, f"rounds of removals are lost: {segment.name} knows of one behind the last", False)
                self.removals_lost = True
                return

    def span_of(self, segment):
        """The IDs between which all of a segment's are, or None if it has no record."""
        if segment.footer:
            return (segment.footer.first_id, segment.footer.last_id) if segment.footer.count else None
        return (segment.records[0][0], segment.records[-1][0]) if segment.records else None

    def is_strict(self, segment):
        return segment.header is not None and not segment.header.flags & 3

    def certain_below(self, first):
        """Up to where the IDs of the gap that begins there were given to records that were durable (12, what is lost)."""
        accounted = self.removals.accounted_below or (MAX if self.doubtful else 0)
        below, before, self.may_go_on = accounted, None, False
        if accounted == 0:
            return 0
        for segment in self.segments:
            span = self.span_of(segment)
            if span is None:
                if self.is_strict(segment) and not segment.lost:
                    below = max(below, segment.base_id)
                continue
            if span[1] < first:
                before = segment
                continue
            links = [one.first_id for one in segment.commits if one.kind == 2]
            if before is not None and before.id in links:
                return 0
            unnamed = any(id not in self.segment_ids for id in links)
            self.may_go_on = segment.is_link_lost
            return MAX if self.is_strict(segment) or unnamed else accounted
        return below

    def is_end_gone(self):
        """Of the last segment with records, or of one behind it, nothing tells how many records it had (13)."""
        for segment in reversed(self.segments):
            if segment.header is None:
                if segment.is_misplaced or len(segment.data) < self.removals.durable.get(segment.id, 0):
                    return True
                continue
            intact = [one.at for one in segment.commits if one.kind == 1]
            for start, _, commit in [] if segment.footer else segment.bad:
                if (commit is None or commit.kind != 1) and max(intact, default=0) < start < segment.footer_at:
                    return True
            if segment.is_open and not segment.footer:
                return True
            if segment.records:
                return False
        return False

    def check_missing(self, here, removed):
        removals = self.removals
        spans = Ids([span for span in map(self.span_of, self.segments) if span])
        gaps = Ids([(1, self.next_id - 1)]).without(here).without(spans).without(removed).without(self.lost)
        self.doubtful = doubtful = self.removals_lost or any(not one["lossless"] and one["file"].endswith(".tomb") for one in self.damage)
        missing, doubted = [], []
        for first, last in gaps.list:
            certain = min(last, self.certain_below(first) - 1)
            if first <= certain:
                missing.append((first, certain))
            if self.may_go_on and certain < last and not self.clean:
                doubted.append((max(first, certain + 1), last))
        if self.beside:
            missing = doubted = []
        for first, last in doubted:
            self.tell("", 0, 0, f"a file may be missing: some of records {first} to {last}", False)
        for first, last in missing:
            self.tell("", 0, 0, f"a file is missing: {'some of ' if doubtful else ''}records {first} to {last}", False)
        if missing and not doubtful:
            self.lost = Ids(self.lost.list + missing)
        if self.beside:
            return
        is_newest_gone = removals.data_segment and all(id < removals.data_segment for id in self.segment_ids)
        if is_newest_gone and (not missing or removals.close is None):
            self.tell("", 0, 0, "the newest segment is missing, and which records were in it is not known", False)
        elif removals.close is None and self.is_end_gone():
            self.tell("", 0, 0, "the end of the newest segment is gone, and what was lost beside that is not known", False)
        if not self.clean:
            return
        # Lost records may be among those that were live; where rounds are lost, removed ones are among those that seem to be.
        most = len(self.records) + sum(last - first + 1 for first, last in self.lost.list)
        if most < removals.close:
            self.tell("", 0, 0, f"{removals.close} records were live at the close, at most {most} are", False)
        elif len(self.records) > removals.close and not doubtful:
            self.tell("", 0, 0, f"{removals.close} records were live at the close, {len(self.records)} are", False)


# 11, the store


TWIN_MAX = 48 + 69  # the longest name of a queue, and a commit's header


def register_of(data, header, there, tell):
    """3: the names that are entered. What is damaged costs something where a queue may be missing whose name is not known."""
    names = set()
    commits, bad = scan(data, len(data), header.seed)
    taken_up, lost, torn = HEADER, 0, None
    for one in commits:
        start, end = one.at, one.end
        size, torn_here = end - start, None
        if one.kind == 32:
            names.add(data[one.body : end].decode("latin-1"))
            if one.durable == start:
                torn_here, end = end, end + size
            elif one.durable == start - size:
                start = one.durable
        lost += max(0, start - taken_up)
        if end >= taken_up:
            taken_up, torn = end, torn_here
    damaged = lost > 0 or any(start < (taken_up if torn is None else torn) for start, _, _ in bad)
    more = 0
    if len(data) - taken_up > TWIN_MAX:
        lost, more, damaged = lost + len(data) - taken_up, TWIN_MAX, True
    if damaged:
        sums = {0}
        for name in there - names:
            sums |= {one + 2 * (48 + len(name)) for one in sums}
        lossless = any(lost - more <= one <= lost for one in sums)
        tell(HEADER, len(data) - HEADER, "the register of queues is damaged", lossless)
    return {name for name in names if QUEUE_NAME.fullmatch(name)}


def queues_there(root):
    """Those with a tombstone log and a segment."""
    there = set()
    for name in os.listdir(root) if os.path.isdir(root) else []:
        folder = os.path.join(root, name)
        if QUEUE_NAME.fullmatch(name) and os.path.isdir(folder):
            ends = {os.path.splitext(one)[1] for one in os.listdir(folder) if FILE_NAME.fullmatch(one)}
            if {".seg", ".tomb"} <= ends:
                there.add(name)
    return there


FILE_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{16}\.seg|[0-9a-f]{16}\.tomb")
QUEUE_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}(\.dead)?")


def uuid_of_others(store):
    """Where STORE does not tell it any more: the one that most files name."""
    votes = {}
    for folder, _, names in os.walk(os.path.join(store, "queues")):
        for name in names:
            magic = {".seg": b"EvqS", ".tomb": b"EvqT"}.get(os.path.splitext(name)[1])
            path = os.path.join(folder, name)
            if magic and stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    header = header_of(file.read(HEADER), magic)
                if header:
                    votes[header.uuid] = votes.get(header.uuid, 0) + 1
    return max(votes, key=lambda uuid: votes[uuid]) if votes else None


def read_store(store, live=False):
    damage = []

    def tell(offset, size, what, lossless, queue="", file=os.path.join(store, "STORE")):
        damage.append({"queue": queue, "file": file, "offset": offset, "bytes": size, "what": what, "lossless": lossless})

    path = os.path.join(store, "STORE")
    data = b""
    if os.path.lexists(path) and stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "rb") as file:
            data = file.read()
    header = header_of(data, b"EvqM")
    uuid = header.uuid if header else uuid_of_others(store)
    if uuid is None:
        raise NotReadable(f"there is no store at {store}")
    root = os.path.join(store, "queues")
    registered = set()
    if header is None:
        tell(0, HEADER, "the header of the store is damaged", False)
    else:
        if header.lossless:
            tell(0, HEADER, "one copy of the header is damaged", True)
        registered = register_of(data, header, queues_there(root), tell)
    names = [name for name in os.listdir(root) if QUEUE_NAME.fullmatch(name)] if os.path.isdir(root) else []
    queues = {}
    for name in sorted({*names, *registered}):
        folder = os.path.join(root, name)
        if os.path.isdir(folder) or (name in registered and not os.path.lexists(folder)):
            queues[name] = read_queue(store, name, uuid, name in registered, live)
        else:
            link = os.path.islink(folder)
            tell(0, 0, "it leads to no folder" if link else "not a folder", not link, name, folder)
    # A record in an unsealed segment that names an origin is the one that counts (11).
    for queue in list(queues.values()):
        for origin in queue.moved:
            source = queues.get(origin["queue"]) if origin else None
            if source:
                source.records = [one for one in source.records if one[0] != origin["id"]]
                source.next_id = min(max(source.next_id, origin["id"] + 1), MAX)
                source.lost = source.lost.without(Ids([(origin["id"], origin["id"])]))
    return queues, damage


def read_queue(store, name, uuid, registered, live):
    """Beside a writer names change while one reads: then it is read anew."""
    for _ in range(100 if live else 1):
        try:
            queue = Queue(store, name, uuid, registered, live)
        except FileNotFoundError:
            continue
        wanted = [one for one in queue.names if one.endswith((".seg", ".tomb"))]
        if not live or wanted == sorted(one for one in os.listdir(queue.dir) if one.endswith((".seg", ".tomb"))):
            return queue
    raise NotReadable(f"{name} changes faster than it can be read")


def lines_of(store, live=False):
    """What is printed, and whether anything is damaged."""
    queues, damage = read_store(store, live)
    damage += [one for queue in queues.values() for one in queue.damage]
    lines = []
    for name, queue in queues.items():
        lines.append({"queue": name, "nextId": queue.next_id, "clean": queue.clean})
        lines += [{"record": record_of(name, *one)} for one in queue.records]
        lines += [{"torn": one} for one in queue.torn]
        lines += [{"lost": {"queue": name, "firstId": first, "lastId": last}} for first, last in queue.lost.list]
    return lines + [{"damage": one} for one in damage], bool(damage)


def main(args):
    paths = [one for one in args if one != "--live"]
    if len(paths) != 1:
        raise NotReadable(__doc__)
    lines, damaged = lines_of(paths[0], "--live" in args)
    for line in lines:
        print(json.dumps(line))
    return 3 if damaged else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotReadable as error:
        sys.exit(str(error))
