"""hosts.toml is read strictly: what is wrong is named by file, line and key, with a suggestion."""

import contextlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import Limits
from fleet import errors, hosts
from fleet.hosts import keys
from fleet.model import Host

EXAMPLE = Path(__file__).parent.parent / "hosts.example.toml"


def parse(text: str, existing: tuple[str, ...] = ()) -> tuple[Host, ...]:
    return hosts.parse(text, file="hosts.toml", directory="/conf", home="/home/ada", exists=existing.__contains__)


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(errors.ConfigError) as caught:
        parse("version = 1\n" + text)
    return str(caught.value), caught.value.remedy


def test_a_name_is_all_that_a_host_needs() -> None:
    assert parse('version = 1\n[[host]]\nname = "studio-1"') == (
        Host(name="studio-1", address="studio-1", known_hosts="/conf/hosts.known_hosts"),
    )


def test_the_example_parses_and_resolves_every_setting() -> None:
    every = hosts.parse(EXAMPLE.read_text(), file="e", directory="/conf", home="/home/ada", exists=lambda _: True)
    assert [host.name for host in every] == ["studio-1", *(f"r{n:02d}" for n in range(1, 9))]
    connection = {
        "known_hosts": "/conf/hosts.known_hosts",
        "ssh_config": "/home/ada/.ssh/config",
        "identity": "/home/ada/.ssh/fleet_ed25519",
    }
    jump = Host(name="bastion", address="bastion.example.net", user="jump", **connection)  # type: ignore[arg-type]
    assert every[-1] == Host(
        name="r08",
        address="10.0.0.18",
        user="render",
        jump=jump,
        tags=("linux",),
        groups=("studio", "night"),
        chromium="/usr/bin/chromium",
        chromium_args=("--disable-dev-shm-usage",),
        limits=Limits(workers=4, memory_bytes=8 << 30, disk_bytes=20 << 30, nice=10),
        bwlimit_bytes=20_000_000,
        env=(("LANG", "C.UTF-8"),),
        **connection,  # type: ignore[arg-type]
    )
    assert every[0].tags == ("linux", "fast")


@pytest.mark.parametrize("key", sorted(keys.DEFAULTS | keys.HOST | keys.LIMITS))
def test_the_example_shows_every_key_with_its_comment(key: str) -> None:
    assert re.search(rf"^{key} = .* #|\{{ {key} = ", EXAMPLE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("known", [keys.DEFAULTS, keys.HOST, keys.JUMP, keys.LIMITS])
def test_the_example_of_each_key_is_a_value_that_it_accepts(known: dict[str, keys.Key]) -> None:
    for name, key in known.items():
        ((written, value),) = tomllib.loads(key.example).items()
        assert written == name
        key.parse(value)


def test_a_host_overrides_its_groups_and_groups_override_defaults_in_file_order() -> None:
    (host,) = parse("""
        version = 1
        [[host]]
        name = "a"
        groups = ["first", "second"]
        env = { C = "host" }
        limits = { nice = 1 }
        tags = ["t3"]
        [defaults]
        user = "default"
        python = "default"
        env = { A = "default", B = "default", C = "default" }
        limits = { workers = 2, nice = 19 }
        tags = ["t1"]
        [groups.second]
        python = "second"
        rsync = "second"
        [groups.first]
        rsync = "first"
        env.B = "first"
        tags = ["t2", "t1"]
    """)
    assert (host.user, host.python, host.rsync) == ("default", "second", "first")
    assert host.env == (("A", "default"), ("B", "first"), ("C", "host"))
    assert host.limits == Limits(workers=2, nice=1)
    assert host.tags == ("t1", "t2", "t3")
    assert host.groups == ("second", "first")


def test_jump_hosts_chain_and_take_the_connection_of_defaults() -> None:
    (a, b) = parse("""
        version = 1
        [defaults]
        user = "ada"
        jump = "inner"
        keepalive = "2s x 2"
        python = "python3.12"
        [jump.inner]
        jump = "outer"
        [jump.outer]
        port = 2222
        user = "gate"
        [[host]]
        name = "a"
        [[host]]
        name = "b"
        jump = ""
    """)
    assert b.jump is None
    common = {"known_hosts": "/conf/hosts.known_hosts", "keepalive_s": 2.0, "keepalive_count": 2}
    outer = Host(name="outer", address="outer", user="gate", port=2222, **common)  # type: ignore[arg-type]
    assert a.jump == Host(name="inner", address="inner", user="ada", jump=outer, **common)  # type: ignore[arg-type]


def test_files_are_found_beside_the_hosts_file_or_at_home() -> None:
    text = """
        version = 1
        [defaults]
        known_hosts = "keys/known"
        identity = "id"
        ssh_config = ""
        [[host]]
        name = "a"
        [[host]]
        name = "b"
        identity = "~/.ssh/b"
    """
    a, b = parse(text, ("/conf/id", "/home/ada/.ssh/b", "/home/ada/.ssh/config"))
    assert (a.known_hosts, a.identity, a.ssh_config) == ("/conf/keys/known", "/conf/id", None)
    assert b.identity == "/home/ada/.ssh/b"


def test_the_users_ssh_config_is_read_when_there_is_one() -> None:
    (host,) = parse('version = 1\n[[host]]\nname = "a"', ("/home/ada/.ssh/config",))
    assert host.ssh_config == "/home/ada/.ssh/config"


IN_HOST_A = [
    ('adress = "b"', 'unknown key `adress` in [[host]] "a"', "did you mean `address`?"),
    ('hostname = "b"', "unknown key `hostname`", "did you mean `address`?"),
    ("workers = 2", "unknown key `workers`", "it belongs in `limits`"),
    ('known_hosts = "k"', "unknown key `known_hosts`", "`known_hosts` belongs in [defaults]"),
    ("limits = { worker = 2 }", 'unknown key `worker` in limits of [[host]] "a"', "`workers`?"),
    ('password = "x"', '`password` in [[host]] "a": secrets', "log in with a key"),
    ('pasword = "x"', '`pasword` in [[host]] "a": secrets', "log in with a key"),
    ('sudo_pass = "x"', '`sudo_pass` in [[host]] "a": secrets', "hosts setup"),
    ('port = "22"', '`port` in [[host]] "a" must be an integer from 1 to 65535, not "22"', "port = 22"),
    ("port = true", "`port`", "port = 22"),
    ("port = 65536", "`port`", "port = 22"),
    ("port = 1979-05-27", "`port`", "port = 22"),
    ('tags = "x"', '`tags` in [[host]] "a" must be a list of names', "tags = ["),
    ('tags = ["x", "!y"]', "`tags`", "tags = ["),
    ('user = "-oProxy"', "`user`", "user = "),
    ('address = "-x"', "`address`", "address = "),
    ('address = "h{m}"', "`address`", "{n+10}"),
    ('address = "h{n}"', '`address` uses {n}, but the name "a" is no range', "{n+10}"),
    ('python = "-c"', "`python`", "python = "),
    ('python = "/opt/my python"', "`python`", "python = "),
    ('workdir = "~bob/x"', "`workdir`", "workdir = "),
    ('limits = { memory = "8 gigs" }', '`memory` in limits of [[host]] "a" must be a size', "memory = "),
    ('limits = { bwlimit = "20M" }', "`bwlimit`", "20MB/s"),
    ("limits = 4", '`limits` in [[host]] "a" must be a table', "workers = 4"),
    ('keepalive = "5 x 3"', "`keepalive`", "5s x 3"),
    ("weight = nan", "`weight`", "weight = 1.5"),
    ("sandbox = 1", '`sandbox` in [[host]] "a" must be true or false, not 1', "sandbox"),
    ('transport = "telnet"', "`transport`", "transport = "),
    ('env = { "A B" = "x" }', '"A B" in env of', "letters"),
    ("env = { A = 1 }", '`A` in env of [[host]] "a" must be one line of text', "LANG"),
    ('jump = "bation"\n[jump.bastion]', 'unknown jump `bation` in [[host]] "a"', "`bastion`?"),
    ('jump = "x"', "unknown jump `x`", "add [jump.x]"),
    ('groups = ["gp"]\n[groups.gpu]', "unknown group `gp`", "`gpu`?"),
    ('identity = "~/.ssh/id"', '`identity` in [[host]] "a": no such file: /home/ada/.ssh/id', "mend the path"),
]


@pytest.mark.parametrize(("text", "message", "remedy"), IN_HOST_A)
def test_a_mistake_in_a_host_gives_its_line_its_key_and_a_suggestion(text: str, message: str, remedy: str) -> None:
    found = refusal(f'[[host]]\nname = "a"\n{text}')
    assert found[0].startswith(f"hosts.toml:4: {message}")
    assert remedy in found[1]


ELSEWHERE = [
    ('[[hosts]]\nname = "a"\n[[host]]\nname = "b"', "2: unknown key `hosts` at the top", "did you mean `host`?"),
    ('[defaults]\nzzz = 1\n[[host]]\nname = "a"', "3: unknown key `zzz` in [defaults]", "known keys: user, "),
    ('[[host]]\nname = "a"\n[[host]]\nname = "A"', '5: the name "A" is taken on line 3', "unique"),
    ('[[host]]\nname = "r[1:3]"\n[[host]]\nname = "r2"', '5: the name "r2" is taken on line 3', "unique"),
    ('[jump.a]\n[[host]]\nname = "a"', '4: the name "a" is taken on line 2', "unique"),
    ('[[host]]\nname = "a b"', '3: `name` in [[host]] "a b" must be letters', "r[01:08]"),
    ('[[host]]\nname = "r[3:1]"', "3: `name`", "r[01:08]"),
    ('[[host]]\nname = "r[1:9999]"', "3: `name`", "r[01:08]"),
    ('[[host]]\naddress = "a"', "2: `name` is missing in [[host]]", "name = "),
    ('[host]\nname = "a"', "2: hosts must be written [[host]]", "[[host]]"),
    ("", "1: no host is named", "[[host]]"),
    ('[jump.a]\njump = "b"\n[jump.b]\njump = "b"\n[[host]]\nname = "h"', "5: jump host `b` jumps through", "remove"),
    ('[jump.a]\naddress = "b{n}"\n[[host]]\nname = "h"', "3: `address` in [jump.a] must be", "bastion"),
    ('[groups.a]\ngroups = ["a"]\n[[host]]\nname = "h"', "3: group `a` includes itself", "remove"),
    ('[groups]\nx = 1\n[[host]]\nname = "a"', "2: `groups` must hold tables", "[groups.NAME]"),
    ('[groups."a b"]\n[[host]]\nname = "a"', "2: [groups.a b] is no usable name", "letters"),
]


@pytest.mark.parametrize(("text", "message", "remedy"), ELSEWHERE)
def test_a_mistake_elsewhere_gives_its_line_its_key_and_a_suggestion(text: str, message: str, remedy: str) -> None:
    found = refusal(text)
    assert found[0].startswith(f"hosts.toml:{message}")
    assert remedy in found[1]


@pytest.mark.parametrize(("first", "hint"), [("", "begin the file with"), ("version = 2", "reads version 1")])
def test_a_file_without_its_version_is_refused(first: str, hint: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"^hosts.toml:1: `version`") as caught:
        parse(f'{first}\n[[host]]\nname = "a"')
    assert hint in caught.value.remedy


def test_all_problems_are_shown_at_once_in_the_order_of_the_file() -> None:
    message, remedy = refusal('[[host]]\nname = "a"\nprot = 1\n[[host]]\nname = "a"\nuser = 1\n[jump.x]\njump = "y"')
    assert message.splitlines()[0] == "hosts.toml has 4 problems"
    assert re.findall(r"hosts\.toml:(\d+)", message) == ["4", "6", "7", "9"]
    assert "did you mean `port`?" in message
    assert "hosts.example.toml" in remedy


def test_a_wrong_file_does_not_flood_the_screen() -> None:
    message, _ = refusal("[defaults]\n" + "\n".join(f"zz{n} = 1" for n in range(500)))
    assert len(message.splitlines()) < 30
    assert message.endswith("more")


def test_loops_of_two_are_named_once_each() -> None:
    message, _ = refusal('[groups.a]\ngroups = ["b"]\n[groups.b]\ngroups = ["a"]\n[[host]]\nname = "h"')
    assert re.findall(r"group `(.)` includes itself", message) == ["a", "b"]


@given(st.integers(0, 10**6), st.integers(0, 999), st.integers(0, 8), st.integers(-(10**6), 10**6))
def test_a_range_makes_one_host_per_number(first: int, more: int, width: int, offset: int) -> None:
    begin = f"{first:0{width}d}"
    expanded = keys.expand(f"r[{begin}:{first + more}]x")
    assert [each.number for each in expanded] == list(range(first, first + more + 1))
    assert expanded[0].name == f"r{begin}x"
    assert len({each.name for each in expanded}) == more + 1
    assert [int(keys.address_of(f"{{n{offset:+d}}}", each)) - offset for each in expanded] == [
        each.number for each in expanded
    ]


@given(st.text(max_size=20) | st.from_regex(r"[a-z]{0,2}\[[0-9]{0,3}:[0-9]{0,3}\].?"))
def test_a_name_expands_to_usable_names_or_is_refused(name: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(re.fullmatch(keys.NAME, each.name) for each in keys.expand(name))


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1", 1),
        ("8G", 8 << 30),
        ("8GiB", 8 << 30),
        ("8GB", 8 * 10**9),
        ("1.5K", 1536),
        ("20 MB", 20 * 10**6),
        ("7B", 7),
    ],
)
def test_sizes_count_by_1024_unless_they_say_b(written: str, size: int) -> None:
    assert keys.size(written) == size


@given(st.integers(1, 10**4), st.sampled_from("KMGT"))
def test_sizes_grow_with_their_prefix(number: int, prefix: str) -> None:
    assert keys.size(f"{number}{prefix}B") < keys.size(f"{number}{prefix}")
    assert keys.size(f"{number}{prefix}") == keys.size(f"{number}{prefix}iB")
    assert keys.rate(f"{number}{prefix}/s") == keys.size(f"{number}{prefix}")


@pytest.mark.parametrize("written", ["", "G", "0", "0G", "-1G", "1X", "1 G G", "1e3", "\u0661G", 8, None, ["8G"]])
@pytest.mark.parametrize("parse_value", [keys.size, keys.rate, keys.keepalive])
def test_what_is_no_size_is_refused(written: object, parse_value: Callable[[object], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_value(written)


FLEET = (
    Host(name="r1", tags=("gpu", "rack-a"), groups=("studio",)),
    Host(name="r2", tags=("rack-a",)),
    Host(name="nuc", tags=("rack-b",), groups=("studio",)),
)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["r1", "r2", "nuc"]),
        ("nuc,r1", ["r1", "nuc"]),
        ("rack-a,!r1", ["r2"]),
        ("!studio", ["r2"]),
        ("studio, ! gpu", ["nuc"]),
        ("r?", ["r1", "r2"]),
    ],
)
def test_limit_chooses_by_name_tag_and_group(pattern: str, names: list[str]) -> None:
    assert [host.name for host in hosts.select(FLEET, pattern)] == names


@pytest.mark.parametrize(
    ("pattern", "remedy"), [("stduio", "did you mean `studio`?"), ("!nope", "hosts list"), ("r1,!r1", "hosts list")]
)
def test_a_limit_that_chooses_nothing_is_an_error(pattern: str, remedy: str) -> None:
    with pytest.raises(errors.ConfigError, match="--limit") as caught:
        hosts.select(FLEET, pattern)
    assert remedy in caught.value.remedy


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def test_a_hosts_file_is_read_from_disk(tmp_path: Path) -> None:
    file = write(tmp_path / "hosts.toml", 'version = 1\n[[host]]\nname = "a"\nidentity = "id"')
    with pytest.raises(errors.ConfigError, match=r"hosts\.toml:4: `identity` .* no such file"):
        hosts.load(file)
    (tmp_path / "id").touch()
    (host,) = hosts.load(file)
    assert host.identity == str(tmp_path / "id")
    assert host.known_hosts == str(tmp_path / "hosts.known_hosts")


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_hosts_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "hosts.toml", 'version = 1\n[[host]]\nname = "a"')
    Path(file).chmod(mode)
    with pytest.raises(errors.ConfigError, match="others may write") as caught:
        hosts.load(file)
    assert caught.value.remedy == f"chmod go-w {file}"


def test_a_hosts_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    for name, why in [
        ("missing", "no such hosts file"),
        ("binary", "not UTF-8"),
        ("", "cannot be read: is a directory"),
    ]:
        with pytest.raises(errors.ConfigError, match=why):
            hosts.load(str(tmp_path / name))


def test_hosts_can_be_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    known_hosts = str(tmp_path / "hosts.known_hosts")
    assert hosts.load("ada@h1,h2:2222, root@[fe80::1]:22") == (
        Host(name="h1", address="h1", user="ada", known_hosts=known_hosts),
        Host(name="h2", address="h2", port=2222, known_hosts=known_hosts),
        Host(name="fe80-1", address="fe80::1", user="root", known_hosts=known_hosts),
    )


@pytest.mark.parametrize("logins", ["a@-oProxyCommand=x,b", "-x@h,b", "a@h:0", "a@h:99999", "a@h,b@h", "a@@h", "a b@h"])
def test_what_is_no_login_is_refused(logins: str) -> None:
    with pytest.raises(errors.ConfigError, match="--hosts"):
        hosts.load(logins)
