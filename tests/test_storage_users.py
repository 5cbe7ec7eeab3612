"""People and their passwords."""

import os

import pytest
from argon2 import PasswordHasher, extract_parameters

from lethe.storage.database import open_database
from lethe.storage.errors import NotFound, Refused
from lethe.storage.users import GRANTS, Permission, Role, Users


@pytest.fixture
def users(database):
    return Users(database)


def test_the_first_administrator_gets_a_one_time_password_once(users):
    password = users.first_administrator()
    assert password and len(password) >= 12
    assert users.first_administrator() is None
    user = users.authenticate("admin", password)
    assert user is not None
    assert user.role == Role.ADMINISTRATOR
    assert user.must_change


def test_of_several_processes_one_makes_the_administrator(tmp_path):
    url = f"sqlite:///{tmp_path}/lethe.db"
    open_database(url).close()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 9
            try:
                code = 0 if Users(open_database(url)).first_administrator() else 1
            finally:
                os._exit(code)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0, 1, 1]


def test_a_password_is_kept_as_argon2_and_nowhere_else(users, database, tmp_path):
    password = users.first_administrator()
    [(stored,)] = database.execute_sql("SELECT password FROM person").fetchall()
    assert stored.startswith("$argon2id$")
    database.close()
    assert not any(password.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_a_wrong_password_or_name_lets_nobody_in(users):
    password = users.first_administrator()
    assert users.authenticate("admin", password + "x") is None
    assert users.authenticate("admin", "") is None
    assert users.authenticate("Admin", password) is None
    assert users.authenticate("' OR 1=1 --", password) is None


def test_an_unknown_name_costs_the_same_work(users, monkeypatch):
    users.first_administrator()
    checked = []
    verify = PasswordHasher.verify
    monkeypatch.setattr(
        PasswordHasher, "verify", lambda self, stored, given: checked.append(stored) or verify(self, stored, given)
    )
    assert users.authenticate("admin", "wrong") is None
    assert users.authenticate("nobody", "wrong") is None
    assert users.authenticate("nobody", "") is None
    known, unknown, again = checked
    assert extract_parameters(known) == extract_parameters(unknown)
    assert unknown == again


def test_a_changed_password_replaces_the_old_one_and_ends_other_sessions(users):
    old = users.first_administrator()
    before = users.get("admin")
    after = users.change_password("admin", "correct horse battery")
    assert users.authenticate("admin", old) is None
    assert users.authenticate("admin", "correct horse battery") == after
    assert not after.must_change
    assert after.fingerprint != before.fingerprint


def test_a_short_password_is_refused_and_changes_nothing(users):
    old = users.first_administrator()
    with pytest.raises(Refused, match="12"):
        users.change_password("admin", "x" * 11)
    assert users.authenticate("admin", old) is not None


def test_who_does_not_exist_is_not_found(users):
    with pytest.raises(NotFound):
        users.get("nobody")
    with pytest.raises(NotFound):
        users.change_password("nobody", "correct horse battery")


def test_a_damaged_password_lets_nobody_in(users, database):
    users.first_administrator()
    database.execute_sql("UPDATE person SET password = 'plain'")
    assert users.authenticate("admin", "plain") is None


def test_an_administrator_may_do_everything():
    assert GRANTS[Role.ADMINISTRATOR] == set(Permission)
