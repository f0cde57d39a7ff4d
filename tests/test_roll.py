"""The choice of hosts is made once; who comes later joins if it fits."""

import asyncio

import pytest
from test_muster import one

from fleet import dispatch
from fleet.dispatch import Roll
from fleet.errors import HostUnfit
from fleet.model import Host


def test_a_late_host_holds_nobody_up_and_joins_when_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LATE_S", 0.05)

    async def scene() -> None:
        roll = Roll([Host(name="early"), Host(name="late"), Host(name="other")], scale=1)
        call = asyncio.create_task(roll.call(None))
        await asyncio.sleep(0)
        early = await roll.answer(one("early"))
        assert [each.host.name for each in (await call).accepted] == ["early"]
        assert await roll.answer(one("late")) is early
        with pytest.raises(HostUnfit):
            await roll.answer(one("other", version="151.0"))

    asyncio.run(scene())


def test_the_only_host_may_leave_and_come_back() -> None:
    async def scene() -> None:
        roll = Roll([Host(name="only")], scale=1)
        call = asyncio.create_task(roll.call(None))
        await asyncio.sleep(0)
        choice = await roll.answer(one("only"))
        assert await call is choice
        assert await roll.answer(one("only")) is choice

    asyncio.run(scene())
