"""The queue: every job to one owner at a time, and none lost."""

import os
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.storage.database import open_database, transaction
from lethe.storage.errors import NotFound, Unavailable
from lethe.storage.jobs import ENDED, JobQueue, Stage, State, retry_delay


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def jobs(database, clock):
    return JobQueue(database, clock)


def add(jobs, *subjects, stage=Stage.CLEAN, **options):
    for subject in subjects:
        assert jobs.add(stage, subject, project="default", **options)


def state(jobs, job):
    return jobs.get(job.id).state


# Claiming


def test_the_oldest_is_claimed_first_and_each_once(jobs, clock):
    for subject in ("first", "second", "third"):
        add(jobs, subject)
        clock.now += 1
    claimed = [jobs.claim(Stage.CLEAN, "me", 60) for _ in range(4)]
    assert [job.subject for job in claimed[:3]] == ["first", "second", "third"]
    assert claimed[3] is None
    assert claimed[0].state == State.RUNNING
    assert claimed[0].attempts == 1
    assert claimed[0].owner == "me"
    assert claimed[0].lease_until == clock.now + 60


def test_many_are_claimed_in_the_order_they_became_ready(jobs, clock):
    add(jobs, "a", "b", "c", "d")
    a = jobs.claim(Stage.CLEAN, "me", 60)
    jobs.later(a, 5, "")
    clock.now += 10
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=9)] == ["b", "c", "d", "a"]


def test_no_more_are_claimed_than_asked_for_lapsed_ones_first(jobs, clock):
    add(jobs, "a", "b", "c", "d", "e")
    jobs.claim_many(Stage.CLEAN, "dead", 10, most=3)
    clock.now += 11
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=4)] == ["a", "b", "c", "d"]
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=4)] == ["e"]


def test_stage_and_destination_are_kept_apart(jobs):
    add(jobs, "1.2", stage=Stage.SEND, destination="archive")
    assert jobs.claim(Stage.CLEAN, "me", 60) is None
    assert jobs.claim(Stage.SEND, "me", 60) is None
    assert jobs.claim(Stage.SEND, "me", 60, destination="other") is None
    assert jobs.claim(Stage.SEND, "me", 60, destination="archive").subject == "1.2"


def test_the_same_job_is_added_once(jobs):
    assert jobs.add(Stage.CLEAN, "a", project="p")
    assert not jobs.add(Stage.CLEAN, "a", project="p")
    assert jobs.add(Stage.CLEAN, "a", project="q")
    assert jobs.add(Stage.SEND, "a", project="p", destination="x")
    assert jobs.add(Stage.SEND, "a", project="p", destination="y")
    assert len(jobs.find()) == 4


def test_threads_claim_each_job_once(jobs, database):
    add(jobs, *map(str, range(100)))
    claimed = [[] for _ in range(4)]

    def work(mine):
        while job := jobs.claim(Stage.CLEAN, "thread", 60):
            mine.append(job.subject)
        database.close()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(subject) for mine in claimed for subject in mine) == list(range(100))


def test_processes_claim_each_job_once(jobs, database, tmp_path):
    with transaction(database):
        add(jobs, *map(str, range(200)))
    database.close()
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                queue = JobQueue(open_database(f"sqlite:///{tmp_path}/lethe.db"), lambda: 2000.0)
                claimed = []
                while batch := queue.claim_many(Stage.CLEAN, str(number), 60, most=1 + number):
                    claimed += [job.subject for job in batch]
                (tmp_path / f"claimed{number}").write_text("\n".join(claimed))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    claimed = [line for n in range(4) for line in (tmp_path / f"claimed{n}").read_text().split()]
    assert sorted(map(int, claimed)) == list(range(200))


def test_claiming_reads_no_more_than_it_needs(jobs, database):
    """Done and waiting jobs pile up; each idle worker claims several times a second, under the write lock."""
    number = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
    for job_state, ready_at in (("done", 0), ("ready", 1), ("ready", 9999)):
        database.execute_sql(
            number + "INSERT INTO job (stage, state, project, subject, destination, attempts, ready_at, lease_until, "
            f"owner, reason, created, updated) SELECT 'clean', '{job_state}', 'p{ready_at}', i, '', 0, {ready_at}, 0, "
            "'', '', 0, 0 FROM n"
        )
    steps = 0

    def tick():
        nonlocal steps
        steps += 1

    database.connection().set_progress_handler(tick, 1000)
    assert jobs.claim(Stage.CLEAN, "me", 60) is not None
    assert jobs.claim(Stage.SEND, "me", 60, destination="archive") is None
    database.connection().set_progress_handler(None, 0)
    assert steps < 20  # thousands of SQLite's instructions; a scan takes hundreds


# Leases


def test_a_lease_that_ended_is_ready_again(jobs, clock):
    add(jobs, "a")
    first = jobs.claim(Stage.CLEAN, "one", 60)
    clock.now += 59.9
    assert jobs.claim(Stage.CLEAN, "two", 60) is None
    clock.now += 0.1
    second = jobs.claim(Stage.CLEAN, "two", 60)
    assert (second.id, second.owner, second.attempts) == (first.id, "two", 2)


@pytest.mark.parametrize("verdict", ["finish", "quarantine", "fail", "later", "extend", "give_back"])
@pytest.mark.parametrize("owner", ["other", "me"])
def test_a_lost_lease_decides_nothing(jobs, clock, verdict, owner):
    """Not even where the same process claimed it again: `attempts` tells the two apart."""
    add(jobs, "a")
    lost = jobs.claim(Stage.CLEAN, "me", 60)
    clock.now += 61
    held = jobs.claim(Stage.CLEAN, owner, 60)
    call = {
        "finish": lambda: jobs.finish(lost),
        "quarantine": lambda: jobs.quarantine(lost, "bad"),
        "fail": lambda: jobs.fail(lost, "bad"),
        "later": lambda: jobs.later(lost, 5, "bad"),
        "extend": lambda: jobs.extend([lost], 500),
        "give_back": lambda: jobs.give_back([lost]),
    }[verdict]
    assert not call()
    assert jobs.get(held.id) == held
    assert jobs.finish(held)
    assert not call()
    assert state(jobs, held) == State.DONE


def test_an_extended_lease_holds_longer(jobs, clock):
    add(jobs, "a")
    job = jobs.claim(Stage.CLEAN, "me", 60)
    clock.now += 50
    jobs.extend([job], 60)
    clock.now += 50
    assert jobs.claim(Stage.CLEAN, "other", 60) is None
    assert jobs.finish(job)


def test_the_leases_of_a_dead_owner_end_at_once(jobs):
    add(jobs, "a", "b", "c")
    for owner in ("dead", "dead", "alive"):
        jobs.claim(Stage.CLEAN, owner, 600)
    assert jobs.expire("dead") == 2
    assert jobs.expire("nobody") == 0
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=9)] == ["a", "b"]


def test_what_is_given_back_was_not_tried(jobs):
    add(jobs, "a", "b")
    claimed = jobs.claim_many(Stage.CLEAN, "me", 60, most=2)
    jobs.finish(claimed[0])
    jobs.give_back(claimed)
    assert state(jobs, claimed[0]) == State.DONE
    again = jobs.claim(Stage.CLEAN, "other", 60)
    assert (again.subject, again.attempts) == ("b", 1)


# Verdicts


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("finish", State.DONE), ("quarantine", State.QUARANTINED), ("fail", State.FAILED)],
)
def test_a_verdict_ends_a_job(jobs, clock, verdict, expected):
    add(jobs, "a")
    job = jobs.claim(Stage.CLEAN, "me", 60)
    ended = {"finish": lambda: jobs.finish(job, reason="because")}.get(
        verdict, lambda: getattr(jobs, verdict)(job, "because")
    )
    assert ended()
    assert not ended()
    now = jobs.get(job.id)
    assert (now.state, now.reason, now.owner, now.lease_until) == (expected, "because", "", 0.0)
    clock.now += 10_000
    assert jobs.claim(Stage.CLEAN, "me", 60) is None


def test_later_is_later(jobs, clock):
    add(jobs, "a")
    assert jobs.later(jobs.claim(Stage.CLEAN, "me", 60), 30, "away")
    clock.now += 29
    assert jobs.claim(Stage.CLEAN, "me", 60) is None
    clock.now += 1
    again = jobs.claim(Stage.CLEAN, "me", 60)
    assert (again.attempts, again.reason) == (2, "away")


@pytest.mark.parametrize("ended", ENDED)
def test_an_ended_job_is_revived_with_its_attempts_forgotten(jobs, clock, ended):
    add(jobs, "a", state=ended, reason="why")
    [job] = jobs.find()
    clock.now += 5
    assert jobs.revive(job)
    assert not jobs.revive(job)
    revived = jobs.get(job.id)
    assert (revived.state, revived.attempts, revived.reason, revived.ready_at) == (State.READY, 0, "", clock.now)


@pytest.mark.parametrize("other", [State.READY, State.RUNNING, State.DONE])
def test_a_job_that_has_not_ended_is_not_revived(jobs, other):
    add(jobs, "a", state=other)
    [job] = jobs.find()
    assert not jobs.revive(job)
    assert state(jobs, job) == other


def test_only_held_jobs_are_moved_or_dropped(jobs):
    add(jobs, "a", state=State.HELD)
    add(jobs, "b")
    held, ready = sorted(jobs.find(), key=lambda job: job.subject)
    assert not jobs.move(ready, "p")
    assert not jobs.drop(ready)
    assert jobs.move(held, "p")
    assert not jobs.drop(held)
    assert (jobs.get(held.id).project, jobs.get(held.id).state) == ("p", State.READY)


def test_the_higher_priority_goes_first_and_then_the_older(jobs, clock):
    for subject, priority in (("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)):
        add(jobs, subject, priority=priority)
        clock.now += 1
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=3)] == ["b", "d", "a"]
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=9)] == ["e", "c"]


def test_what_has_to_wait_does_not_keep_what_is_less_urgent(jobs):
    add(jobs, "urgent", priority=9)
    add(jobs, "usual")
    jobs.later(jobs.claim(Stage.CLEAN, "me", 60), 100, "away")
    assert jobs.claim(Stage.CLEAN, "me", 60).subject == "usual"


def test_a_lease_that_ended_goes_before_every_priority(jobs, clock):
    add(jobs, "a")
    jobs.claim(Stage.CLEAN, "dead", 10)
    add(jobs, "b", priority=9)
    clock.now += 10
    assert [job.subject for job in jobs.claim_many(Stage.CLEAN, "me", 60, most=2)] == ["a", "b"]


def test_what_is_not_complete_is_not_claimed(jobs):
    add(jobs, "a", state=State.GATHERING)
    assert jobs.claim(Stage.CLEAN, "me", 60) is None


class Statements:
    """The plans of the statements that a database is asked to run."""

    def __init__(self, database, monkeypatch):
        self.plans = []
        execute = database.execute_sql

        def explained(sql, params=None):
            if sql.lstrip().startswith(("UPDATE", "SELECT", "WITH")):
                self.plans += [row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()]
            return execute(sql, params)

        monkeypatch.setattr(database, "execute_sql", explained)


@pytest.mark.parametrize("waits", ["ready", "later", "of other priorities"])
def test_a_long_queue_does_not_slow_a_claim(jobs, database, clock, monkeypatch, waits):
    """Counted in steps of SQLite's machine, which do not depend on how busy this one is."""
    later, levels = ("?1 + 1000", 1) if waits == "later" else ("?1", 9 if waits == "of other priorities" else 1)
    sql = f"""WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
        INSERT INTO job (stage, state, project, subject, destination, attempts, ready_at, lease_until, owner, reason,
        created, updated, priority) SELECT 'send', 'ready', 'default', 'x' || i, 'archive', 0, {later}, 0, '', '',
        ?1, ?1, i % {levels} FROM n"""

    def steps(number):
        with transaction(database):
            database.execute_sql("DELETE FROM job")
            database.execute_sql(sql, (clock.now, number))
        add(jobs, "urgent", stage=Stage.SEND, destination="archive", priority=3)
        counted = []
        database.connection().set_progress_handler(lambda: counted.append(1), 10)
        claimed = jobs.claim_many(Stage.SEND, "me", 60, most=2, destination="archive")
        database.connection().set_progress_handler(None, 0)
        assert len(claimed) == (1 if waits == "later" else 2)
        return len(counted)

    few, many = steps(1_000), steps(100_000)
    assert many < 2 * few + 20
    seen = Statements(database, monkeypatch)
    jobs.claim_many(Stage.SEND, "me", 60, most=2, destination="archive")
    assert any(
        "job_claim (stage=? AND destination=? AND state=? AND priority=? AND ready_at<?)" in p for p in seen.plans
    )
    assert not any("SCAN job" in plan for plan in seen.plans)


# Looking


def test_jobs_are_found_by_what_they_are(jobs, clock):
    add(jobs, "a", "b")
    add(jobs, "1.2", stage=Stage.SEND, destination="archive")
    clock.now += 1
    jobs.quarantine(jobs.claim(Stage.CLEAN, "me", 60), "pixels")
    assert [job.subject for job in jobs.find(limit=1)] == ["a"]
    assert [job.subject for job in jobs.find(states=[State.READY], stage=Stage.CLEAN)] == ["b"]
    assert [job.subject for job in jobs.find(destination="archive")] == ["1.2"]
    assert [job.subject for job in jobs.find(reason="pixels")] == ["a"]
    assert jobs.find(subject="nothing") == []
    assert jobs.counts() == {
        (Stage.CLEAN, State.READY): 1,
        (Stage.CLEAN, State.QUARANTINED): 1,
        (Stage.SEND, State.READY): 1,
    }
    assert jobs.destinations() == {"archive": {State.READY: 1}}
    [standstill] = jobs.standstills()
    assert (standstill.reason, standstill.jobs, standstill.newest) == ("pixels", 1, clock.now)
    assert jobs.unfinished(Stage.CLEAN) == {"a", "b"}
    jobs.finish(jobs.claim(Stage.CLEAN, "me", 60))
    assert jobs.unfinished(Stage.CLEAN) == {"a"}
    assert not jobs.is_unfinished(Stage.CLEAN, "b")
    with pytest.raises(NotFound):
        jobs.get(99)


def test_every_change_is_unavailable_while_the_lock_is_not_to_be_had(jobs, database, tmp_path):
    add(jobs, "a", "b")
    job = jobs.claim(Stage.CLEAN, "me", 60)
    database.pragma("busy_timeout", 1)
    other = sqlite3.connect(tmp_path / "lethe.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    changes = [
        lambda: jobs.claim(Stage.CLEAN, "me", 60),
        lambda: jobs.finish(job),
        lambda: jobs.later(job, 1, ""),
        lambda: jobs.extend([job], 60),
        lambda: jobs.give_back([job]),
        lambda: jobs.revive(job),
        lambda: jobs.expire("me"),
    ]
    for change in changes:
        with pytest.raises(Unavailable):
            change()
    other.close()
    assert jobs.finish(job)


# When to try again

ATTEMPTS, CHANCE = st.integers(0, 10_000), st.floats(0, 1, exclude_max=True)


@given(ATTEMPTS, CHANCE)
def test_a_delay_is_positive_and_bounded(attempts, chance):
    assert 0 < retry_delay(attempts, chance) <= 600


@given(ATTEMPTS, CHANCE)
def test_a_delay_never_shrinks_with_the_attempts(attempts, chance):
    assert retry_delay(attempts, chance) <= retry_delay(attempts + 1, chance)


@given(ATTEMPTS, CHANCE)
def test_chance_spreads_a_delay_over_its_upper_half(attempts, chance):
    least, most = retry_delay(attempts, 0), retry_delay(attempts, 1)
    assert least == most / 2
    assert least <= retry_delay(attempts, chance) <= most


def test_a_delay_doubles_from_the_first_to_the_longest():
    assert [retry_delay(n, 1.0, first=2, longest=20) for n in range(1, 7)] == [2, 4, 8, 16, 20, 20]
