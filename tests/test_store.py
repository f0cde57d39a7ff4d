"""The workspace: what is refused, what is collected, and what survives."""

import errno
import hashlib
import os
import sys
import time
from pathlib import Path

import agent_support as support
import pytest

from capture import collector, store
from capture.faults import FaultCode
from capture.store import Lock, StoreError, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "root", "machine")


def stored(workspace: Workspace, files: dict[str, bytes]) -> str:
    for data in files.values():
        support.push(workspace.path, data)
    digest = support.push(workspace.path, support.manifest(files))
    assert workspace.prepare(digest) == ()
    return digest


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a//b", "a/./b", "a/../b", "", ".", "a\x00b", "a\nb", "a\\b", "a/"], ids=repr
)
def test_a_path_that_could_leave_the_bundle_is_refused(workspace: Workspace, path: str) -> None:
    support.push(workspace.path, b"x")
    digest = support.push(workspace.path, support.manifest({path: b"x"}))
    with pytest.raises(StoreError, match="refused path"):
        workspace.prepare(digest)
    assert list(workspace.bundles.iterdir()) == []


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"rubbish",
        b'{"files":[{"path":"a","sha256":"00","size":1}]}',
        b'{"files":[{"path":"a","sha256":"' + b"0" * 64 + b'","size":"1"}]}',
        b'{"files":[{"path":"a"}]}',
    ],
)
def test_what_is_no_manifest_is_refused(workspace: Workspace, manifest: bytes) -> None:
    with pytest.raises(StoreError):
        workspace.prepare(support.push(workspace.path, manifest))


def test_a_file_and_a_directory_of_one_name_leave_no_half_bundle(workspace: Workspace) -> None:
    files = {"a": b"x", "a/b": b"y"}
    for data in files.values():
        support.push(workspace.path, data)
    digest = support.push(workspace.path, support.manifest(files))
    with pytest.raises(OSError, match=r"exists|directory"):
        workspace.prepare(digest)
    assert not workspace.bundle(digest).exists()


def test_a_pushed_link_or_directory_is_no_blob(workspace: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    digest = support.push(workspace.path, b"x")
    blob = workspace.incoming / digest
    blob.unlink()
    blob.symlink_to(secret)
    listing = support.push(workspace.path, support.manifest({"a": b"x"}))
    assert workspace.prepare(listing) == (digest,)
    assert secret.exists()
    blob.mkdir()
    assert workspace.prepare(listing) == (digest,)
    assert not blob.exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "x" * 101, "a b"])
def test_names_of_runs_and_chunks_stay_inside(workspace: Workspace, name: str) -> None:
    with pytest.raises(StoreError, match="refused name"):
        workspace.run(name)


def test_a_workspace_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "machine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a directory of ours"):
        Workspace(tmp_path, "machine")


def test_the_lock_shows_no_control_characters_of_its_owner(workspace: Workspace) -> None:
    path = workspace.path / "host.lock"
    first, second = Lock(path), Lock(path)
    assert first.acquire("run \x1b[31m7 of a\nb") is None
    assert second.acquire("other") == "run [31m7 of ab"
    assert (first.is_held, second.is_held) == (True, False)


def test_old_runs_and_stale_pushes_are_collected_and_the_present_run_is_kept(workspace: Workspace) -> None:
    for run in ("present", "old", "fresh"):
        (workspace.chunk(run, "c1") / "frame_000000.jpg").write_bytes(b"x")
    stale = workspace.incoming / ".part"
    stale.write_bytes(b"x")
    age(stale, collector.INCOMING_AGE_S + 60)
    age(workspace.run("old"), collector.RUN_AGE_S + 60)
    age(workspace.run("present"), collector.RUN_AGE_S + 60)
    assert sorted(collector.collect(workspace, keep_run="present")) == [".part", "old"]
    assert sorted(run.name for run in workspace.runs.iterdir()) == ["fresh", "present"]


def test_the_bundle_used_longest_ago_goes_first_and_shared_blobs_stay(workspace: Workspace) -> None:
    shared = b"s" * 1000
    old = stored(workspace, {"a": b"a" * 5000, "shared": shared})
    new = stored(workspace, {"b": b"b" * 5000, "shared": shared})
    age(workspace.bundle(old), 100)
    assert collector.collect(workspace, keep_run="r", disk_bytes=100_000) == []
    assert collector.collect(workspace, keep_run="r", disk_bytes=8000) == [old]
    assert workspace.prepare(new) == ()
    assert (workspace.bundle(new) / "shared").read_bytes() == shared
    assert workspace.prepare(old) == (old,)
    assert sum(blob.stat().st_size for blob in workspace.blobs.iterdir()) < 8000


def gone(found: list[collector.Leftover]) -> set[tuple[str, str]]:
    return {(each.kind, each.path.name) for each in found}


def test_leftovers_are_what_is_old_and_never_what_is_held(workspace: Workspace) -> None:
    shared = b"s" * 1000
    old = stored(workspace, {"a": b"a" * 5000, "shared": shared})
    new = stored(workspace, {"b": b"b" * 5000, "shared": shared})
    for path in (workspace.bundle(old), workspace.run("past"), *workspace.blobs.iterdir()):
        age(path, 7200)
    workspace.run("present")
    agents = workspace.path.parent / "agent"
    agents.mkdir()
    for name, seconds in (("old.pyz", 7200), ("young.pyz", 60), (Path(sys.argv[0]).name, 7200)):
        (agents / name).write_bytes(b"z")
        age(agents / name, seconds)
    found = collector.leftovers(workspace, older_than_s=3600, max_bytes=None)
    only_old = hashlib.sha256(b"a" * 5000).hexdigest()
    assert {each for each in gone(found) if each[0] != "blob"} == {
        ("run", "past"), ("bundle", old), ("agent", "old.pyz")
    }  # fmt: skip
    blobs = {name for kind, name in gone(found) if kind == "blob"}
    assert only_old in blobs
    assert hashlib.sha256(shared).hexdigest() not in blobs
    before = workspace.blobs.stat().st_nlink, collector._size(workspace.blobs)
    freed = sum(each.size_bytes for each in found if each.kind == "blob")
    for each in found:
        each.delete()
    assert before[1] - collector._size(workspace.blobs) == freed
    assert workspace.prepare(new) == ()
    assert collector.leftovers(workspace, older_than_s=3600, max_bytes=None) == []


def test_a_size_drops_the_oldest_bundles_however_young(workspace: Workspace) -> None:
    first, second = stored(workspace, {"a": b"a" * 5000}), stored(workspace, {"b": b"b" * 5000})
    age(workspace.bundle(first), 20)
    age(workspace.bundle(second), 10)
    found = collector.leftovers(workspace, older_than_s=3600, max_bytes=8000)
    assert {each for each in gone(found) if each[0] == "bundle"} == {("bundle", first)}
    assert collector.leftovers(workspace, older_than_s=3600, max_bytes=80_000) == []


def test_a_bundle_is_used_whenever_it_is_prepared(workspace: Workspace) -> None:
    first, second = stored(workspace, {"a": b"a" * 5000}), stored(workspace, {"b": b"b" * 5000})
    age(workspace.bundle(first), 200)
    age(workspace.bundle(second), 100)
    workspace.prepare(first)
    assert collector.collect(workspace, keep_run="r", disk_bytes=8000) == [second]


def test_only_regular_files_have_a_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        store.sha256_of(tmp_path / "fifo")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, FaultCode.DISK_FULL),
        (errno.EDQUOT, FaultCode.DISK_FULL),
        (errno.EACCES, FaultCode.INTERNAL),
    ],
)
def test_a_full_disk_has_a_code_of_its_own(number: int, code: FaultCode) -> None:
    fault = store.fault(OSError(number, os.strerror(number)), "write")
    assert fault.code is code
    assert os.strerror(number) in fault.message


def test_a_workspace_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use the workspace"):
        Workspace(tmp_path / "file", "machine")
