"""News is looked into at once in a small fleet, and not a thousand times a second in a large one."""

import math

from fleet.glance import LOOK_S, Glance


def test_few_hosts_are_looked_at_whenever_there_is_news() -> None:
    glance = Glance(last_s=10.0)
    assert not glance.is_due(10.0, hosts=3)
    glance.is_owed = True
    assert glance.is_due(10.0, hosts=3)


def test_a_thousand_hosts_are_looked_at_a_few_times_a_second_and_news_is_not_forgotten() -> None:
    glance = Glance(is_owed=True, last_s=10.0)
    assert not glance.is_due(10.01, hosts=1000)
    assert 10.01 < glance.due_s(hosts=1000) <= 10.25
    assert glance.is_due(glance.due_s(hosts=1000), hosts=1000)
    assert glance.due_s(hosts=1000) == math.inf


def test_without_news_time_alone_is_reason_to_look() -> None:
    glance = Glance(last_s=10.0)
    assert not glance.is_due(10.0 + LOOK_S / 2, hosts=3)
    assert glance.is_due(10.0 + LOOK_S, hosts=3)
