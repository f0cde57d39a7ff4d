"""What addresses of CDNs for ES modules stand for."""

from typing import Any

import pytest

from fleet import esm, npm


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://esm.sh/three@0.160.0", ("three", "0.160.0", "")),
        ("https://esm.sh/d3?bundle", ("d3", "latest", "")),
        ("https://esm.sh/v135/@scope/name@1.2.3/a/b.js", ("@scope/name", "1.2.3", "a/b.js")),
        ("https://esm.sh/*gsap@3/all", ("gsap", "3", "all")),
        ("https://cdn.skypack.dev/animejs@3.2.2", ("animejs", "3.2.2", "")),
        ("https://cdn.jsdelivr.net/npm/d3@7/+esm", ("d3", "7", "")),
        (
            "https://cdn.jsdelivr.net/npm/three@0.160.0/examples/jsm/x.js/+esm",
            ("three", "0.160.0", "examples/jsm/x.js"),
        ),
    ],
)
def test_addresses_of_module_cdns_stand_for_modules_of_packages(url: str, expected: tuple[str, str, str]) -> None:
    name, version, path = expected
    assert esm.package_of(url) == npm.File(name=name, version=version, path=path)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/d3@7",
        "https://cdn.jsdelivr.net/npm/d3@7",
        "https://esm.sh/",
        "https://esm.sh/a@1/../x",
        "//[",
    ],
)
def test_other_addresses_stand_for_no_module(url: str) -> None:
    assert esm.package_of(url) is None


@pytest.mark.parametrize(
    ("specifier", "expected"),
    [
        ("three", "https://esm.sh/three@0.160.0"),
        ("three/addons/a.js", "https://esm.sh/three@0.160.0/addons/a.js"),
        ("d3-array", "https://esm.sh/d3-array@3"),
        ("internmap", "https://esm.sh/internmap@2"),
        ("@a/b/c", "https://esm.sh/@a/b@^1.0.0/c"),
        ("clever", "https://esm.sh/clever@latest"),
        ("unheard", "https://esm.sh/unheard@latest"),
    ],
)
def test_bare_names_mean_the_versions_that_the_package_asks_for(specifier: str, expected: str) -> None:
    asked = {"d3-array": "2 || 3", "internmap": "1 - 2", "clever": ">=1 <2"}
    manifest = {"dependencies": asked, "peerDependencies": {"@a/b": "^1.0.0"}}
    assert esm.dependency(specifier, npm.File(name="three", version="0.160.0"), manifest) == expected


@pytest.mark.parametrize(
    ("manifest", "module", "first"),
    [
        ({"module": "./index.js", "main": "dist/x.js"}, "", "index.js"),
        ({"type": "module", "main": "lib.js"}, "", "lib.js"),
        ({"exports": "./e.mjs", "module": "m.js"}, "", "e.mjs"),
        ({"exports": {"import": "./e.mjs", "require": "./c.cjs"}}, "", "e.mjs"),
        ({"exports": {".": {"node": "./n.js", "default": {"import": ["./e.js"]}}}}, "", "e.js"),
        ({"exports": {"./addons/*": "./examples/jsm/*"}}, "addons/a/b.js", "examples/jsm/a/b.js"),
        ({"exports": {"./*": "./*.js", "./x": {"default": "./y.js"}}}, "x", "y.js"),
        ({"exports": {"./x": None}}, "dist/z.js", "dist/z.js"),
    ],
)
def test_the_file_of_a_module_is_the_one_for_browsers_that_import(
    manifest: dict[str, Any], module: str, first: str
) -> None:
    assert esm.candidates(manifest, module)[0] == first


def test_a_package_without_es_modules_has_no_entry() -> None:
    assert esm.candidates({"main": "dist/umd.js"}, "") == []
