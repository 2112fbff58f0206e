"""Thrift's compact protocol, as far as it takes to forge the footer of a Parquet file.

A structure is a dict of field number → (kind, value); a list is (kind of its elements, values).
"""

TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 7, 8, 9, 12
INTS = (4, 5, 6)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        value = shift = 0
        while (byte := self.byte()) >= 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def int(self):
        bits = self.varint()
        return bits >> 1 ^ -(bits & 1)

    def value(self, kind):
        if kind in INTS:
            return self.int()
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind == BINARY:
            return self.take(self.varint())
        if kind == LIST:
            head = self.byte()
            count = self.varint() if head >> 4 == 15 else head >> 4
            return head & 15, [self.value(head & 15) for _ in range(count)]
        if kind == STRUCT:
            return self.struct()
        return self.take({BYTE: 1, DOUBLE: 8}[kind])

    def struct(self):
        fields, number = {}, 0
        while head := self.byte():
            number = self.int() if head >> 4 == 0 else number + (head >> 4)
            fields[number] = head & 15, self.value(head & 15)
        return fields


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def zigzag(value):
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def encode(kind, value):
    if kind in INTS:
        return zigzag(value)
    if kind in (TRUE, FALSE):
        return b""
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == LIST:
        element, values = value
        count = len(values)
        head = bytes([count << 4 | element]) if count < 15 else bytes([0xF0 | element]) + varint(count)
        return head + b"".join(encode(element, one) for one in values)
    if kind == STRUCT:
        out, last = bytearray(), 0
        for number, (kind, inner) in sorted(value.items()):
            out.append(number - last << 4 | kind)
            out += encode(kind, inner)
            last = number
        return bytes(out) + b"\0"
    return value
