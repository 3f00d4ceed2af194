"""Numbers of keys: the same key in the sets of key codes that ``virDomainSendKey`` knows, and QEMU's own."""

from __future__ import annotations

from functools import cache

from virtcore.enums.domain_more import KeycodeSet

__all__ = ["qemu_key", "set_name"]

#: A key after the other: its code in AT set 1 (hexadecimal), Linux's, that of OS X (hexadecimal), in AT sets 2 and 3
#: (hexadecimal), of USB, of Windows (hexadecimal); ``-`` where a set has not got it. Facts of keycodemapdb.
_KEYS = """
1 1 35 76 8 41 1b; 2 2 12 16 16 30 31; 3 3 13 1e 1e 31 32; 4 4 14 26 26 32 33; 5 5 15 25 25 33 34
6 6 17 2e 2e 34 35; 7 7 16 36 36 35 36; 8 8 1a 3d 3d 36 37; 9 9 1c 3e 3e 37 38; a 10 19 46 46 38 39
b 11 1d 45 45 39 30; c 12 1b 4e 4e 45 bd; d 13 18 55 55 46 bb; e 14 33 66 66 42 8; f 15 30 d d 43 9
10 16 c 15 15 20 51; 11 17 d 1d 1d 26 57; 12 18 e 24 24 8 45; 13 19 f 2d 2d 21 52; 14 20 11 2c 2c 23 54
15 21 10 35 35 28 59; 16 22 20 3c 3c 24 55; 17 23 22 43 43 12 49; 18 24 1f 44 44 18 4f
19 25 23 4d 4d 19 50; 1a 26 21 54 54 47 db; 1b 27 1e 5b 5b 48 dd; 1c 28 24 5a 5a 40 d
1d 29 3b 14 11 224 a2; 1d 29 3b 14 11 224 11; 1e 30 0 1c 1c 4 41; 1f 31 1 1b 1b 22 53; 20 32 2 23 23 7 44
21 33 3 2b 2b 9 46; 22 34 5 34 34 10 47; 23 35 4 33 33 11 48; 24 36 26 3b 3b 13 4a; 25 37 28 42 42 14 4b
26 38 25 4b 4b 15 4c; 27 39 29 4c 4c 51 ba; 28 40 27 52 52 52 de; 29 41 32 e e 53 c0; 2a 42 38 12 12 225 10
2a 42 38 12 12 225 a0; 2b 43 2a 5d 5c 49 dc; 2b 43 2a 5d 5c 50 dc; 2c 44 6 1a 1a 29 5a; 2d 45 7 22 22 27 58
2e 46 8 21 21 6 43; 2f 47 9 2a 2a 25 56; 30 48 b 32 32 5 42; 31 49 2d 31 31 17 4e; 32 50 2e 3a 3a 16 4d
33 51 2b 41 41 54 bc; 34 52 2f 49 49 55 be; 35 53 2c 4a 4a 56 bf; 36 54 3c 59 59 229 a1
37 55 43 7c 7e 85 6a; 38 56 3a 11 19 226 a4; 38 56 3a 11 19 226 12; 39 57 31 29 29 44 20
3a 58 39 58 14 57 14; 3b 59 7a 5 7 58 70; 3c 60 78 6 f 59 71; 3d 61 63 4 17 60 72; 3e 62 76 c 1f 61 73
3f 63 60 3 27 62 74; 40 64 61 b 2f 63 75; 41 65 62 83 37 64 76; 42 66 64 a 3f 65 77; 43 67 65 1 47 66 78
44 68 6d 9 4f 67 79; 45 69 47 77 76 83 90; 46 70 - 7e 5f 71 91; 47 71 59 6c 6c 95 67; 48 72 5b 75 75 96 68
49 73 5c 7d 7d 97 69; 4a 74 4e 7b 4e 86 6d; 4b 75 56 6b 6b 92 64; 4c 76 57 73 73 93 65
4d 77 58 74 74 94 66; 4e 78 45 79 7c 87 6b; 4f 79 53 69 69 89 61; 50 80 54 72 72 90 62
51 81 55 7a 7a 91 63; 52 82 52 70 70 98 60; 53 83 41 71 71 99 6e; 54 84 - - - - -; 76 85 - 5f - 148 -
56 86 a 61 13 100 e2; 57 87 67 78 56 68 7a; 58 88 6f 7 5e 69 7b; 73 89 5e 51 - 135 e2; 78 90 - 63 - 146 15
77 91 - 62 87 147 -; 79 92 - 64 86 138 1c; 70 93 - 13 87 136 f2; 7b 94 - 67 85 139 1d; 5c 95 5f 27 - 140 -
e01c 96 4c e05a 79 88 -; e01d 97 3e e014 58 228 a3; e035 98 4b e04a 4a 84 6f; 54 99 - 7f 57 70 2c
e038 100 3d e011 39 230 a5; 5b 101 - - - - -; e047 102 73 e06c 6e 74 24; e048 103 7e e075 63 82 26
e049 104 74 e07d 6f 75 21; e04b 105 7b e06b 61 80 25; e04d 106 7c e074 6a 79 27; e04f 107 77 e069 65 77 23
e050 108 7d e072 60 81 28; e051 109 79 e07a 6d 78 22; e052 110 - e070 67 73 2d; e053 111 75 e071 64 76 2e
e06f 112 - e06f 8e - -; e020 113 4a e023 9c 127 ad; e020 113 4a e023 9c 239 ad; e02e 114 49 e021 9d 129 ae
e02e 114 49 e021 9d 238 ae; e030 115 48 e032 95 128 af; e030 115 48 e032 95 237 af; e05e 116 - e037 - 102 -
59 117 51 f - 103 -; e04e 118 - e079 - - -; e046 119 - e077 62 72 13; e00b 120 - - - - -
7e 121 - 6d - 133 6c; f2 122 68 f2 - 144 15; f2 122 68 f2 - 144 16; f1 123 66 f1 - 145 19
f1 123 66 f1 - 145 1a; 7d 124 5d 6a 5d 137 dc; e05b 125 37 e01f 8b 227 5b; e05c 126 36 e027 8c 231 5c
e05d 127 6e e02f 8d 101 5d; e068 128 - e028 a 120 a9; e068 128 - e028 a 243 a9; e005 129 - - b 121 -
e006 130 - - c - -; e007 131 - - 10 122 -; e00c 132 - - - 119 -; e078 133 - - 18 124 -; 64 134 - - 20 116 -
65 135 - - 28 125 -; e041 136 - - 30 126 -; e041 136 - - 30 244 -; e03c 137 - - 38 123 -
e075 138 72 - 9 117 2f; e01e 139 - - 91 118 -; e021 140 - e02b a3 251 -; 66 141 - - - - -
e05f 142 - e03f - 248 5f; e063 143 - e05e - - -; 67 144 - - - - -; 68 145 - - - - -; 69 146 - - - - -
e013 147 - - a2 - -; e01f 148 - - a0 - -; e017 149 - - a1 - -; e002 150 - - - 240 -; 6a 151 - - - - -
e012 152 - - 96 249 -; 6b 153 - - - - -; e026 154 - - 9b - -; e06c 155 - e048 - - -; e066 156 - e018 - - -
e06b 157 - e040 - - -; e06a 158 - e038 - 241 a6; e069 159 - e030 - 242 a7; e023 160 - - 9a - -
6c 161 - - - 236 -; e07d 162 - - - - -; e019 163 - e04d 93 235 b0; e022 164 - e034 - 232 b3
e010 165 - e015 94 234 b1; e024 166 - e03b 98 233 b2; e031 167 - - 9e - -; e018 168 - - 9f - -
63 169 - - - - -; e001 171 - - - - -; e032 172 - e03a 97 - ac; e067 173 - e020 - 250 a8
e008 176 - - - 247 -; 75 177 - - - 245 -; e00f 178 - - - 246 -; e076 179 - - - 182 -; e07b 180 - - - 183 -
e009 181 - - - - -; e00a 182 - - - - -; 5d 183 69 2f 7f 104 7c; 5e 184 6b 37 80 105 7d
5f 185 71 3f 81 106 7e; 55 186 6a - 82 107 7f; e003 187 40 - 83 108 80; e077 188 4f - - 109 81
e004 189 50 - - 110 82; 5a 190 5a - - 111 83; 74 191 - - - 112 84; e079 192 - - - 113 85
6d 193 - - - 114 86; 6f 194 - - - 115 87; e015 195 - - - - -; e016 196 - - - - -; e01a 197 - - - - -
e01b 198 - - - - -; e027 199 - - - - -; e028 200 - - - - -; e029 201 - - - - -; e02b 202 - - - - -
e02c 203 - - - - -; e02d 204 - - - - -; e025 205 - - - - -; e02f 206 - - - - -; e033 207 - - - - fa
e034 208 - - - - -; e036 209 - - - - -; e039 210 - - - - 2a; e03a 211 - - - - -; e03b 212 - - - - -
e03d 213 - - - - -; e03e 214 - - - - -; e03f 215 - - - - b4; e040 216 - - - - -; e065 217 - e010 - - aa
e042 218 - - - - -; e043 219 - - - - -; e044 220 - - - - -; e045 221 - - - - -; e014 222 - - - - -
e04a 223 - - - - -; e04c 224 - - - - -; e054 225 - - - - -; e06d 226 - e050 - - -; e056 227 - - - - -
e057 228 - - - - -; e058 229 - - - - -; e059 230 - - - - -; e05a 231 - - - - -; e064 232 - - - - -
e00e 233 - - - - -; e055 234 - - - - -; e070 235 - - - - -; e071 236 - - - - -; e072 237 - - - - -
e073 238 - - - - -; e074 239 - - - - -
"""
#: Where a set's numbers are in a row, and their base.
_COLUMNS = {
    KeycodeSet.LINUX: (1, 10),
    KeycodeSet.XT: (0, 16),
    KeycodeSet.ATSET1: (0, 16),
    KeycodeSet.ATSET2: (3, 16),
    KeycodeSet.ATSET3: (4, 16),
    KeycodeSet.OSX: (2, 16),
    KeycodeSet.USB: (5, 10),
    KeycodeSet.WIN32: (6, 16),
}


@cache
def _table(codes: KeycodeSet) -> dict[int, int]:
    """QEMU's number of each of a set's keys."""
    found: dict[int, int] = {}
    for row in _KEYS.replace("\n", ";").split(";"):
        fields = row.split()
        if not fields:
            continue
        scan = int(fields[0], 16)
        # QEMU's numbers are those of AT set 1 in one byte: the prefix 0xe0 is the highest bit.
        extended, base = scan > 0xFF, scan & 0x7F if scan > 0xFF else scan
        number = base | 0x80 if extended else base
        if codes is KeycodeSet.QNUM:
            found[number] = number
        elif codes is KeycodeSet.XT_KBD:
            found.setdefault(base | 0x100 if extended else base, number)
        else:
            column, radix = _COLUMNS[codes]
            if fields[column] != "-":
                found.setdefault(int(fields[column], radix), number)
    return found


def qemu_key(codes: KeycodeSet, number: int) -> int | None:
    """QEMU's number of a key; None where the set has no such key."""
    return _table(codes).get(number)


def set_name(codes: KeycodeSet) -> str:
    """What libvirt calls a set."""
    return {KeycodeSet.OSX: "os_x"}.get(codes, codes.name.lower())
