"""One browser build, one GL backend, one capture mode for the whole render."""

from capture.protocol import BrowserFacts, CaptureMode, HostFacts, Limits
from fleet import muster
from fleet.model import Host

GIB = 1 << 30


def facts(cores: int = 4, memory_bytes: int = 32 * GIB, quota: float | None = None) -> HostFacts:
    return HostFacts(
        python="3.11.2",
        kernel="6.1",
        architecture="x86_64",
        machine_id="m",
        is_root=False,
        workspace="/home/render/.cache/fleetrender/m",
        cpu_count=cores,
        cpu_affinity=cores,
        cpu_quota=quota,
        memory_total_bytes=memory_bytes,
        memory_available_bytes=memory_bytes,
        memory_limit_bytes=None,
        disk_free_bytes=100 * GIB,
        shm_bytes=GIB,
        chromium="/usr/bin/chromium-headless-shell",
        chromium_version="156.0",
        rsync="/usr/bin/rsync",
        rsync_version="3.5.0",
        fonts_digest="f",
        fonts_count=3,
        unix_time_s=0.0,
        can_sandbox=True,
    )


def browser(version: str = "156.0", mode: CaptureMode = CaptureMode.BEGIN_FRAME) -> BrowserFacts:
    return BrowserFacts(
        version=version, mode=mode, mode_why="probed", gl_vendor="Google", gl_renderer="SwiftShader", has_sandbox=True
    )


def one(
    name: str, *, cores: int = 4, version: str = "156.0", mode: CaptureMode = CaptureMode.BEGIN_FRAME
) -> muster.Mustered:
    return muster.Mustered(host=Host(name=name), facts=facts(cores), browser=browser(version, mode))


def names(choice: muster.Choice) -> list[str]:
    return [accepted.host.name for accepted in choice.accepted]


def test_browsers_of_other_builds_are_accepted_where_classes_may_be_mixed() -> None:
    hosts = (one("old", cores=4, version="155.0"), one("a", cores=6))
    choice = muster.choose(hosts, allow_mixed=True)
    assert choice.accepted == hosts
    assert muster.misfit(one("late", version="154.0"), choice, allow_mixed=True) is None
    assert muster.misfit(one("late", version="154.0"), choice) is not None


def test_the_build_with_the_most_capacity_renders() -> None:
    choice = muster.choose((one("old", cores=4, version="155.0"), one("a", cores=2), one("b", cores=3)))
    assert names(choice) == ["a", "b"]
    assert muster.misfit(one("old", version="155.0"), choice) is not None
    assert muster.misfit(one("c"), choice) is None


def test_a_resumed_run_keeps_its_browser_even_when_another_has_more_capacity() -> None:
    small = one("small", cores=1, version="155.0")
    choice = muster.choose((small, one("big", cores=64)), required_browser=muster.identity(small.browser))
    assert names(choice) == ["small"]


def test_one_host_without_begin_frame_puts_all_in_screenshot_mode_and_is_named() -> None:
    choice = muster.choose((one("a"), one("b", mode=CaptureMode.SCREENSHOT)))
    assert choice.mode is CaptureMode.SCREENSHOT
    assert choice.why.startswith("b: ")
    assert names(choice) == ["a", "b"]


def test_a_late_host_without_begin_frame_does_not_fit_a_begin_frame_render() -> None:
    choice = muster.choose((one("a"),))
    assert "screenshots" in (muster.misfit(one("late", mode=CaptureMode.SCREENSHOT), choice) or "")


def test_capacity_is_bound_by_quota_memory_limit_and_weight() -> None:
    def capacity(host: Host, host_facts: HostFacts) -> float:
        return muster.Mustered(host=host, facts=host_facts, browser=browser()).capacity

    plain = Host(name="h")
    assert capacity(plain, facts(8)) == 8
    assert capacity(plain, facts(8, quota=2.0)) == 2
    assert capacity(plain, facts(8, memory_bytes=2 * muster.WORKER_MEMORY_BYTES)) == 2
    assert capacity(plain, facts(8, memory_bytes=1)) == 1
    assert capacity(Host(name="h", limits=Limits(workers=3)), facts(8)) == 3
    assert capacity(Host(name="h", weight=0.5), facts(8)) == 4


def test_more_than_one_pixel_for_one_needs_screenshots_everywhere() -> None:
    choice = muster.choose((one("a"),), scale=2)
    assert (choice.mode, choice.why) == (CaptureMode.SCREENSHOT, "begin-frame capture cannot draw 2 pixels for one")
    assert muster.misfit(one("a"), choice) is None
