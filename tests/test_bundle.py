import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import bundle, errors, model


def composition(*assets: model.Asset, document: str = "<p>hello") -> model.Composition:
    return model.Composition(
        name="x", document=document, width=1, height=1, duration_s=Fraction(1), assets=tuple(assets)
    )


def blob(path: str, content: bytes = b"") -> model.Blob:
    return model.Blob(path, hashlib.sha256(content).hexdigest(), len(content), f"/somewhere/{path}")


def test_the_manifest_lists_every_file_and_its_digest_names_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    built = bundle.build(composition(model.Asset(path="img/a.png", file=str(tmp_path / "a.png"))), tmp_path / "out")

    manifest, *blobs = built.blobs
    assert manifest.path == ""
    assert Path(manifest.file).read_bytes() == (
        b'{"files":[{"path":"img/a.png","sha256":"%s","size":3},{"path":"index.html","sha256":"%s","size":8}]}'
        % (hashlib.sha256(b"png").hexdigest().encode(), hashlib.sha256(b"<p>hello").hexdigest().encode())
    )
    assert built.digest == manifest.sha256 == hashlib.sha256(Path(manifest.file).read_bytes()).hexdigest()
    assert [(b.path, Path(b.file).read_bytes()) for b in blobs] == [("img/a.png", b"png"), ("index.html", b"<p>hello")]
    assert built.digest == bundle.digest_of(blobs)


def test_equal_content_in_another_place_has_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for place in ("one", "two/deeper"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"same")
        digests.add(bundle.build(composition(model.Asset(path="a", file=str(folder / "a"))), folder / "out").digest)
    assert len(digests) == 1


def test_one_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    first = bundle.build(composition(), tmp_path).digest
    assert bundle.build(composition(document="<p>hallo"), tmp_path).digest != first


def test_an_asset_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.CompositionError, match=r"^gone\.png: cannot be read"):
        bundle.build(composition(model.Asset(path="gone.png", file=str(tmp_path / "gone.png"))), tmp_path)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0."), min_size=1), unique=True))
def test_the_manifest_does_not_depend_on_the_order_of_files(paths: list[str]) -> None:
    blobs = [blob(path) for path in paths]
    manifest = bundle.manifest_of(blobs)
    assert manifest == bundle.manifest_of(reversed(blobs))
    assert [file["path"] for file in json.loads(manifest)["files"]] == sorted(paths)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "", "a/", "a\0b"])
def test_a_path_that_leads_out_of_the_bundle_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside a bundle"):
        bundle.manifest_of([blob(path)])


def test_two_files_of_one_path_are_refused() -> None:
    with pytest.raises(ValueError, match="two files of one path"):
        bundle.manifest_of([blob("a"), blob("a", b"other")])
