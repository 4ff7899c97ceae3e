"""Archives: what is read, and a corpus of hostile ones that must be refused and leave nothing."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from asd_rewriter.archive import Archive, ArchiveLimits, check_card_splits, open_archive
from asd_rewriter.errors import (
    ArchiveRefused,
    ArchiveTooLarge,
    CorruptArchive,
    DuplicateMember,
    EncryptedArchive,
    MemberNotFound,
    NotAnArchive,
    SuspiciousCompression,
    UnsafeMember,
)
from tests.asd_rewriter.conftest import MakeArchive, card

FILES = {
    "train.json": b"[1, 2]",
    "images/a.png": b"\x89PNG" * 300,
    "deep/" + "x" * 120 + "/" + "y" * 60 + ".txt": b"long name",
    "images/\u00e4\u6f22.png": b"",
}
KINDS = ("zip", "tar", "tar-gnu", "tgz", "tgz-pax", "tgz-gnu")
SMALL = ArchiveLimits(
    max_members=5, max_total_bytes=4000, max_member_bytes=2000, max_ratio=50, ratio_floor_bytes=500
)


@pytest.mark.parametrize("kind", KINDS)
def test_members_and_contents_are_as_packed(pack: MakeArchive, kind: str) -> None:
    with open_archive(pack(FILES, kind)) as archive:
        assert dict(archive.members()) == {name: len(data) for name, data in FILES.items()}
        for name in [*FILES, *reversed(FILES)]:
            assert archive.read(name) == FILES[name]


def test_ustar_prefixes_are_joined(pack: MakeArchive) -> None:
    name = "folder/" * 15 + "file.txt"
    with open_archive(pack({name: b"x"}, "tar-ustar")) as archive:
        assert archive.read(name) == b"x"


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_one_common_top_folder_is_looked_through(pack: MakeArchive, kind: str) -> None:
    path = pack({"task/train.json": b"[]", "task/images/a.png": b"x"}, kind)
    with open_archive(path) as archive:
        assert archive.find("train.json") == "task/train.json"
        assert archive.find("./images/a.png") == "task/images/a.png"
        assert archive.find("task/train.json") == "task/train.json"
        assert archive.find("a.png") is None


def test_nested_archives_and_system_files_are_ignored(pack: MakeArchive) -> None:
    junk = {"inner.zip": b"PK", "__MACOSX/._a.png": b"", "images/.DS_Store": b"", "x.tar.gz": b""}
    with open_archive(pack({**junk, "train.json": b"[]"})) as archive:
        assert list(archive.members()) == ["train.json"]
        assert set(archive.ignored) == set(junk)


def test_tar_gz_leaves_no_temporary_file(pack: MakeArchive) -> None:
    path = pack(FILES, "tgz")
    with open_archive(path) as archive:
        assert archive.kind == "tar.gz"
        assert os.listdir(path.parent) == [path.name]
    assert os.listdir(path.parent) == [path.name]


def test_missing_members_are_named(pack: MakeArchive) -> None:
    with open_archive(pack({"train.jsonl": b"", "b.png": b""})) as archive:
        with pytest.raises(MemberNotFound, match="nope"):
            archive.read("nope")
        with pytest.raises(MemberNotFound, match=r"'train.json'.*train\.jsonl"):
            check_card_splits(archive, card())
        check_card_splits(archive, card(splits={"train": "train.jsonl"}))


NAMES = [
    "../evil", "a/../../evil", "/etc/passwd", "C:\\evil", "C:evil", "a\\..\\b", "a/./b", "a//b",
    "tab\there", "new\nline", "..", "x" * 600,
]  # fmt: skip


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
@pytest.mark.parametrize("name", NAMES)
def test_dangerous_names_are_refused(pack: MakeArchive, kind: str, name: str) -> None:
    _refused(pack({"train.json": b"[]", name: b"x"}, kind), UnsafeMember)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("pair", [("A.png", "a.PNG"), ("\u00e4", "a\u0308"), ("\ufb01", "fi")])
def test_colliding_names_are_refused(pack: MakeArchive, kind: str, pair: tuple[str, str]) -> None:
    _refused(pack({pair[0]: b"1", pair[1]: b"2"}, kind), DuplicateMember)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("a", b"1")
        zipped.writestr("a", b"2")
    _refused(tmp_path / "a.zip", DuplicateMember)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
        tar.addfile(tarfile.TarInfo("a"))
    _refused(tmp_path / "a.tar", DuplicateMember)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
     tarfile.GNUTYPE_SPARSE, b"Z"],
)  # fmt: skip
def test_tar_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("ok"))
        member = tarfile.TarInfo("odd")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    _refused(path, UnsafeMember)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"size": "-1"}, CorruptArchive),
        ({"size": "9" * 30}, CorruptArchive),
        ({"size": "999999999"}, CorruptArchive),
        ({"path": "../x"}, UnsafeMember),
        ({"GNU.sparse.map": "0,1"}, UnsafeMember),
        ({"comment": "z" * 100_000}, UnsafeMember),
    ],
)
def test_pax_tricks_are_refused(
    tmp_path: Path, headers: dict[str, str], error: type[ArchiveRefused]
) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("x")
        member.pax_headers = headers
        tar.addfile(member)
    _refused(path, error)


def test_global_pax_overrides_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", pax_headers={"path": "evil"}) as tar:
        tar.addfile(tarfile.TarInfo("x"))
    _refused(path, UnsafeMember)


def test_zip_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        zipped.writestr(entry, "/etc/passwd")
    _refused(tmp_path / "a.zip", UnsafeMember)


def test_encrypted_zip_is_refused(pack: MakeArchive) -> None:
    path = pack({"a": b"secret"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    _refused(path, EncryptedArchive)


def test_overlapping_zip_entries_are_refused(pack: MakeArchive) -> None:
    path = pack({"a": b"1" * 50, "b": b"2" * 50})
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<L", 0)
    path.write_bytes(data)
    _refused(path, SuspiciousCompression)


def test_zip_size_lies_are_found_on_reading(pack: MakeArchive) -> None:
    path = pack({"a": os.urandom(200), "b": b""})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<L", 20)
    path.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(CorruptArchive, match="damaged"):
        archive.read("a")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_limits(pack: MakeArchive, kind: str) -> None:
    noise = os.urandom(1500)
    _refused(pack({f"f{n}": noise[n:100] for n in range(6)}, kind), ArchiveTooLarge, SMALL)
    _refused(pack({"f": os.urandom(2001)}, kind), ArchiveTooLarge, SMALL)
    _refused(pack({f"f{n}": noise for n in range(3)}, kind), ArchiveTooLarge, SMALL)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_compression_bombs_are_refused(pack: MakeArchive, kind: str) -> None:
    _refused(pack({"f": b"\0" * 50_000_000}, kind), SuspiciousCompression)


def test_many_small_bombs_are_refused(pack: MakeArchive) -> None:
    _refused(pack({f"f{n}": b"\0" * 8_000_000 for n in range(3)}), SuspiciousCompression)


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_million_members_are_refused_early(tmp_path: Path, kind: str) -> None:
    limits = ArchiveLimits(max_members=1000, max_ratio=10_000)
    path = tmp_path / "many"
    if kind == "zip":
        entry = b"PK\x01\x02" + bytes(42)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3, 3, 46 * 200_000, 4, 0)
        path.write_bytes(b"PK\x03\x04" + entry * 200_000 + end)
    else:
        data = b"".join(tarfile.TarInfo(f"{n}").tobuf() for n in range(20_000))
        noise = os.urandom(1000) + bytes(24)
        data += tarfile.TarInfo("noise").tobuf() + noise
        path.write_bytes(data if kind == "tar" else gzip.compress(data))
    _refused(path, ArchiveTooLarge, limits)


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), gzip.compress(b"text"),
     b"Rar!\x1a\x07\x00", bytes(2048), b"BZh91AY&SY", b"7z\xbc\xaf\x27\x1c"],
)  # fmt: skip
def test_not_an_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    _refused(path, (NotAnArchive, CorruptArchive))


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_an_archive_without_files_is_called_so(pack: MakeArchive, kind: str) -> None:
    path = pack({}, kind)
    with pytest.raises(NotAnArchive, match="holds no files"):
        open_archive(path)


def test_an_empty_gzip_file_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(NotAnArchive, match="gzip file is empty"):
        open_archive(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_truncated_archives_are_refused(pack: MakeArchive, kind: str) -> None:
    data = pack({f"f{n}": os.urandom(700) for n in range(4)}, kind).read_bytes()
    for cut in (len(data) // 3, len(data) // 2, 1024):
        path = pack({}, kind)
        path.write_bytes(data[:cut])
        _refused(path, (CorruptArchive, NotAnArchive))


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_flipped_bytes_never_escape_the_error_tree(pack: MakeArchive, kind: str) -> None:
    files = {"train.json": b"[]" * 40, "images/a.png": os.urandom(300)}
    data = pack(files, kind).read_bytes()
    path = pack({}, kind)
    for at in range(0, min(len(data), 3000), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            with open_archive(path) as archive:
                _read_all(archive)
        except ArchiveRefused:
            pass
    assert os.listdir(path.parent) == [path.name]


def _read_all(archive: Archive) -> None:
    for name, size in archive.members().items():
        assert len(archive.read(name)) == size


def _refused(
    path: Path,
    error: type[ArchiveRefused] | tuple[type[ArchiveRefused], ...],
    limits: ArchiveLimits | None = None,
) -> None:
    before = sorted(os.listdir(path.parent))
    with pytest.raises(error) as caught:
        open_archive(path, limits)
    assert 400 <= caught.value.status < 500
    assert len(caught.value.message) < 900
    assert sorted(os.listdir(path.parent)) == before


def test_reading_is_streamed(pack: MakeArchive) -> None:
    with open_archive(pack({"a": b"0123456789" * 1000}, "tar")) as archive:
        file = archive.open("a")
        assert file.read(10) == b"0123456789"
        assert io.TextIOWrapper(file).readline(5) == "01234"
