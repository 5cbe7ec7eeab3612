"""config.toml: typed, read once, and every mistake names file, section, key and what is accepted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lethe.node.choices import Ability, AuthMode, DocumentPolicy, Fill, PixelPolicy, ProfileName
from lethe.node.config import Config
from lethe.node.config_file import load_config
from lethe.node.deid.profile import Option
from lethe.node.errors import ConfigError
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive
from lethe.storage.demand import Demand

ROOT = Path(__file__).resolve().parents[1]
ITSELF = '[[peers]]\nname = "me"\nae_title = "LETHE"\nhost = "localhost"\nport = 11112\n'
PACS = '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "192.0.2.1"\nport = 104\n'
STEP = '[[steps]]\nname = "mask"\ncommand = ["/opt/mask", "{in}", "{out}"]\n'
FACES = 'options = ["clean-recognizable-visual-features"]\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, text))
    return str(error.value).splitlines()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, ""))
    assert config == dataclasses.replace(Config(), folder=tmp_path)
    assert config.data == tmp_path / "data"


def test_the_database_is_the_same_from_wherever_the_command_is_run(tmp_path: Path) -> None:
    def url(database: str) -> str:
        return load_config(write(tmp_path, f'[node]\ndatabase = "{database}"')).database

    assert url("") == ""
    assert url("sqlite:///db/lethe.db") == f"sqlite:///{tmp_path}/db/lethe.db"
    assert url("sqlite:////srv/lethe.db") == "sqlite:////srv/lethe.db"


def test_the_file_in_the_repository_holds_the_defaults() -> None:
    config = load_config(ROOT / "config.toml")
    assert config == dataclasses.replace(Config(), folder=ROOT)


def test_everything_can_be_set(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            """
            [node]
            ae_title = "GATE"
            host = "0.0.0.0"
            port = 104
            data = "/srv/lethe"
            workers = 8
            receivers = 2
            associations = 40
            longest_pdu = 65536
            largest_object = 100
            least_free = 1000
            request_seconds = 5
            idle_seconds = 20
            answer_seconds = 90
            trust_loopback = false
            log_level = "DEBUG"
            [http]
            host = "127.0.0.1"
            port = 80
            public_url = "https://lethe.example.org/"
            cors_origins = ["https://ohif.example.org:443", "http://127.0.0.1:3000"]
            trusted_proxies = ["192.0.2.7", "2001:db8::/32"]
            [auth]
            mode = "none"
            [[peers]]
            name = "archive"
            ae_title = "ARCHIVE"
            host = "192.0.2.1"
            port = 104
            may = ["store", "find"]
            associations = 3
            commits = true
            notify = ["trial"]
            [projects.trial]
            profile = "none"
            options = ["retain-uids"]
            pixel_policy = "none"
            fill = "contrast"
            text_finders = ["rapidocr", "tesseract"]
            documents = "refuse"
            send_to = ["archive"]
            commit = "committed"
            [worklist]
            folder = "/srv/worklist"
            [redact]
            roots = ["/srv/redact"]
            largest = 64
            [[routes]]
            from = "CT01"
            project = "trial"
            [[routes]]
            from = ["MR0?", "upload"]
            project = "trial"
            called = "TRIAL"
            address = ["192.0.2.7", "10.0.0.0/8"]
            modality = "MR"
            sop_class = ["MRImageStorage", "1.2.840.10008.5.1.4.1.1.4.*"]
            station = "WARD*"
            where = { BodyPartExamined = ["HEAD", "NECK"], "0008,0080" = "NORTH*" }
            hours = ["07:00-12:00", "13:00-19:00"]
            days = ["mon-thu", "sat"]
            complete_after = 30
            priority = -2
            """,
        )
    )
    route = config.routes[1]
    assert (route.source, route.called, route.address) == (
        ("MR0?", "upload"),
        ("TRIAL",),
        ("192.0.2.7/32", "10.0.0.0/8"),
    )
    assert route.sop_class == ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.*")
    assert route.where == (("BodyPartExamined", ("HEAD", "NECK")), ("0008,0080", ("NORTH*",)))
    assert (str(route.window), route.complete_after, route.priority) == (
        "07:00-12:00, 13:00-19:00 mon, tue, wed, thu, sat",
        30.0,
        -2,
    )
    assert config.data == Path("/srv/lethe")
    assert config.http.public_url == "https://lethe.example.org"
    assert config.http.cors_origins == ("https://ohif.example.org", "http://127.0.0.1:3000")
    assert config.http.trusted_proxies == ("192.0.2.7/32", "2001:db8::/32")
    assert config.auth.mode == AuthMode.NONE
    assert config.peer("archive").may == (Ability.STORE, Ability.FIND)  # type: ignore[union-attr]
    trial = config.project("trial")
    assert trial is not None
    assert (trial.profile, trial.options, trial.pixel_policy) == (
        ProfileName.NONE,
        (Option.RETAIN_UIDS,),
        PixelPolicy.NONE,
    )
    assert trial.documents == DocumentPolicy.REFUSE
    assert (trial.fill, trial.text_finders) == (Fill.CONTRAST, ("rapidocr", "tesseract"))
    assert (config.redact.roots, config.redact.largest) == (("/srv/redact",), 64)
    assert config.routes[0].source == ("CT01",)
    assert (trial.commit, config.peers[0].commits, config.peers[0].notify) == (Demand.COMMITTED, True, ("trial",))
    assert config.worklist.folder == "/srv/worklist"


def test_nobody_may_ask_for_the_worklist_who_is_not_named_for_it(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 104'))
    assert Ability.WORKLIST not in config.peers[0].may
    assert Ability.MPPS in config.peers[0].may


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[projects.trial]\ncommit = "safe"', 'accepted: one of "received", "published", "delivered", "committed"'),
        ('[projects.default]\ncommit = "delivered"', 'commit = "delivered" without send_to; accepted: "received"'),
        (
            '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 104\n'
            '[projects.default]\nsend_to = ["a"]\ncommit = "committed"',
            'commit = "committed" needs commits = true of a; accepted: that, or another commit',
        ),
        (
            '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 104\nnotify = ["trail"]',
            "[[peers]] number 1: notify names 'trail'; accepted: default",
        ),
        (
            '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 104\nmay = "store"',
            'may = \'store\' is not accepted; accepted: a list, each of "store", "find"',
        ),
        ('[projects.default]\nsend_to = "archive"', "accepted: a list, each a name of letters"),
        ("[node]\ncommit_days = 0", "commit_days = 0 is not accepted; accepted: a whole number from 1 to 365"),
        ("[nodes]", "[nodes]: unknown section; accepted: [node], [http]"),
        ("[node]\nprot = 1", "[node]: unknown key 'prot'; accepted: ae_title, host, port"),
        ("[node]\nport = 0", "[node]: port = 0 is not accepted; accepted: a whole number from 1 to 65535"),
        ("[node]\nport = true", "[node]: port = True is not accepted"),
        ('[node]\nport = "104"', "[node]: port = '104' is not accepted"),
        ('[node]\nae_title = "SEVENTEEN_LETTERS"', "an AE title: 1 to 16 characters"),
        ('[node]\nae_title = "A\\\\B"', "an AE title"),
        ('[node]\nlog_level = "LOUD"', 'accepted: one of "DEBUG", "INFO"'),
        ("[node]\ntrust_loopback = 1", "accepted: true or false"),
        ("[node]\nlongest_pdu = 1", "a whole number from 4096 to 1048576"),
        ("node = 1", "[node]: not a table"),
        ('[[routes]]\nfrom = []\nproject = "default"', "at least one value, or a list of such"),
        ('[[routes]]\nfrom = "*"\nproject = "default"\naddress = "here"', 'an IP address such as "192.0.2.7"'),
        ('[[routes]]\nfrom = "*"\nproject = "default"\nhours = "7-9"', 'hours such as "19:00-06:00"'),
        ('[[routes]]\nfrom = "*"\nproject = "default"\ndays = "monday"', 'days such as "sat" or "mon-fri"'),
        ('[[routes]]\nfrom = "*"\nproject = "default"\nsop_class = "CT"', 'a SOP Class such as "CTImageStorage"'),
        ('[[routes]]\nfrom = "*"\nproject = "default"\nwhere = { Modalitty = "CT" }', "no keyword of DICOM and no tag"),
        ('[[routes]]\nfrom = "*"\nproject = "default"\nwhere = "Modality"', "a table such as"),
        ('[[routes]]\nfrom = "*"\nproject = "default"\npriority = 10', "a whole number from -9 to 9"),
        ("[projects.default]\ncomplete_after = 0", "a number from 1 to 604800"),
        (PACS + 'send = "series"', 'accepted: one of "instance", "study"'),
        (PACS + "instances_per_second = true", "a number from 0 to 10000"),
        ('[http]\npublic_url = "ftp://x"', "[http]: public_url"),
        ('[auth]\nmode = "oidc"', '[auth]: mode = \'oidc\' is not accepted; accepted: one of "local", "none"'),
        ("[peers]\nname = 1", "[peers]: not a list of tables; accepted: [[peers]]"),
        ('[[peers]]\nname = "a"\nhost = "h"\nport = 1', "[[peers]] number 1: ae_title is missing"),
        (
            '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\nmay = ["print"]',
            "may = ['print'] is not accepted",
        ),
        ('[projects.default]\noptions = ["retain-everything"]', "[projects.default]: options = ['retain-everything']"),
        ('[projects.default]\nprofile = "light"', 'accepted: one of "basic", "none"'),
        ('[projects."../x"]\n', "not a project's name"),
        ('[projects.default]\nfill = "pink"', 'accepted: one of "background", "contrast"'),
        (
            '[projects.default]\ntext_finders = "rapidocr"',
            "text_finders = 'rapidocr' is not accepted; accepted: a list",
        ),
        ("[projects.default]\ntext_finders = []", "text_finders is empty"),
        (
            '[projects.default]\ntext_finders = ["rapidocr", "easyocr"]',
            "text_finders names 'easyocr'; accepted: rapidocr, tesseract",
        ),
        ("[http]\nevents_port = 8080", "events_port = 8080 is port as well"),
        ("[http]\nevents_port = 11112", "events_port = 11112 is [node] port as well"),
        ("[projects.trial]", "[[routes]]: without any, all goes to [projects.default], which is not there"),
        ("[worklist]\nfolder = 5", "folder = 5 is not accepted"),
        ("[worklist]\ntable = []", "table = [] is not accepted"),
        ("[node]\ndatabase = 5", "database = 5 is not accepted"),
        ('[node]\nhost = "http://lethe"', "an address such as"),
        ('[node]\ndata = "a\\u0000b"', "a non-empty text"),
        ('[redact]\nroots = "/srv"', "roots = '/srv' is not accepted; accepted: a list"),
        ("[redact]\nlargest = 0", "largest = 0 is not accepted"),
        ('[projects.default]\ndocuments = "none"', 'accepted: one of "refuse", "text"'),
        ('[projects.default]\ndeface = "mask"', "deface = 'mask'; accepted: nothing, as there are no [[steps]]"),
        (f'{STEP}[projects.default]\ndeface = "other"', "deface = 'other'; accepted: mask"),
        (f'{STEP}[projects.default]\ndeface = "mask"', "deface = 'mask' would not be run"),
        (f'{STEP}[projects.default]\n{FACES}profile = "none"\ndeface = "mask"', "deface = 'mask' would not be run"),
        (STEP + STEP, "name = 'mask' stands twice"),
        (STEP.replace("{out}", "out"), '"{in}" and "{out}" among them'),
        ('[[steps]]\nname = "mask"\ncommand = ["{in}", "{out}"]', '"{in}" and "{out}" among them'),
        ('[[steps]]\nname = "mask"\ncommand = "mask"', "a command as a list of texts"),
        (
            '[projects.default]\nsend_to = ["nobody"]',
            "send_to names 'nobody'; accepted: nothing, as there are no [[peers]]",
        ),
        (ITSELF + '[projects.default]\nsend_to = ["me"]', "send_to names me, which is this node itself"),
        (
            ITSELF + '[projects.default]\nsend_to = ["me"]\n[[routes]]\nfrom = ["CT01", "L*"]\nproject = "default"',
            "send_to names me, which is this node itself",
        ),
        ('[[routes]]\nfrom = "*"\nproject = "gone"', "[[routes]] number 1: project = 'gone'; accepted: default"),
        ('[auth]\nmode = "none"\n[http]\ncors_origins = ["*"]', "the origins themselves"),
        ('[http]\ncors_origins = ["https://ohif.example.org/viewer"]', "without a path"),
        ('[http]\ncors_origins = ["null"]', "an origin such as"),
        ('[http]\ntrusted_proxies = ["proxy.example.org"]', "an IP address such as"),
        ('[auth]\nmode = "none"\n[http]\nhost = "0.0.0.0"', "or a loopback address"),
        (
            '[projects.default]\noptions = ["retain-longitudinal-full-dates", "retain-longitudinal-modified-dates"]',
            "both ways to treat dates",
        ),
        ('[[routes]]\nfrom = "AI"\nproject = "default"\nreidentify = true', "reidentify = true needs send_to"),
        (
            PACS + '[[routes]]\nfrom = "AI"\nproject = "default"\nreidentify = true\nsend_to = ["other"]',
            "send_to names 'other'; accepted: nothing, as there are no [[peers]] with identified = true",
        ),
        (
            PACS + '[[routes]]\nfrom = "AI"\nproject = "default"\nreidentify = true\nsend_to = ["pacs"]',
            "names 'pacs', which is not declared to get PHI; accepted: names of [[peers]] with identified = true",
        ),
        (
            PACS
            + 'identified = true\n[[routes]]\nfrom = "*"\nproject = "default"\nreidentify = true\nsend_to = ["pacs"]',
            'from = "*" with reidentify = true',
        ),
        (
            PACS + 'identified = true\n[projects.a]\nprofile = "none"\n'
            '[[routes]]\nfrom = "AI"\nproject = "a"\nreidentify = true\nsend_to = ["pacs"]',
            'profile = "none", which replaces nothing',
        ),
        (
            PACS + 'identified = true\n[[routes]]\nfrom = "AI"\nproject = "default"\nsend_to = ["pacs"]',
            "send_to without reidentify = true",
        ),
    ],
)
def test_a_mistake_names_file_section_key_and_what_is_accepted(tmp_path: Path, text: str, said: str) -> None:
    (line,) = mistakes(tmp_path, text)
    assert line.startswith(f"{tmp_path}/config.toml: ")
    assert said in line
    assert "accepted: " in line


def test_names_that_stand_for_nothing_are_told_beside_what_cannot_be_read(tmp_path: Path) -> None:
    """Also of a section of which another key cannot be read, and among the names of sections like that."""
    text = (
        '[[peers]]\nname = "a"\nport = 0\nnotify = ["trail"]\n'
        '[projects.default]\nsend_to = ["a", "b"]\nfill = "pink"\n'
        '[[routes]]\nfrom = "*"\nproject = "gone"\nreidentify = true\nsend_to = ["c"]\n'
    )
    told = {line.removeprefix(f"{tmp_path}/config.toml: ") for line in mistakes(tmp_path, text)}
    assert told >= {
        "[[peers]] number 1: notify names 'trail'; accepted: default",
        "[projects.default]: send_to names 'b'; accepted: a",
        "[[routes]] number 1: project = 'gone'; accepted: default",
        "[[routes]] number 1: send_to names 'c'; accepted: nothing, as there are no [[peers]] with identified = true",
    }
    assert len(told) == 8, told


@pytest.mark.parametrize("peers", ["peers = 1", "[[peers]]", "[[peers]]\nname = 1"])
def test_nothing_is_said_of_names_where_the_names_cannot_be_read(tmp_path: Path, peers: str) -> None:
    told = mistakes(tmp_path, f'{peers}\n[projects.default]\nsend_to = ["a"]\n')
    assert told and not any("send_to" in line for line in told)


def test_a_route_that_re_identifies(tmp_path: Path) -> None:
    route = '[[routes]]\nfrom = "AI"\nproject = "default"\nreidentify = true\nsend_to = ["pacs"]'
    config = load_config(write(tmp_path, f"{PACS}identified = true\n{route}"))
    assert (config.routes[0].reidentify, config.routes[0].send_to) == (True, ("pacs",))
    assert Config().routes[0].reidentify is False


def test_a_project_names_its_step(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, f'{STEP}[projects.default]\n{FACES}deface = "mask"'))
    step = config.step("mask")
    assert step is not None and step.command == ("/opt/mask", "{in}", "{out}") and step.seconds == 600
    assert config.projects[0].deface == "mask"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, "[node]\nport = 0\nworkers = 0\n[http]\nport = -1\n[what]")) == 4
    assert len(mistakes(tmp_path, "[projects.trial]\n[http]\nevents_port = 8080")) == 2


def test_two_peers_of_one_name(tmp_path: Path) -> None:
    peer = '[[peers]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\n'
    (line,) = mistakes(tmp_path, peer + peer)
    assert "stands twice" in line


def test_what_is_no_toml_is_said(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, "[node\n")
    assert "not a TOML file" in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "none.toml")
    assert load_config(tmp_path / "none.toml", must_exist=False).node.ae_title == "LETHE"


def test_routes_that_were_left_out_are_not_called_by_a_number(tmp_path: Path) -> None:
    said = mistakes(tmp_path, '[projects.trial]\n[node]\ndatabase = "postgresql:///x"\n')
    assert len(said) == 2
    assert "[[routes]]: without any, all goes to [projects.default], which is not there; accepted: " in said[0]
    assert said[0].endswith("trial")


def test_projects_do_not_differ_by_capitals_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[projects.Default\]: another project is called so but for capitals"):
        load_config(write(tmp_path, "[projects.default]\n[projects.Default]"))


def test_whole_weeks_make_another_result(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    config = load_config(write(tmp_path, "[projects.default]\n[projects.weekly]\nwhole_weeks = true"))
    projects = projects_of(config, archive.files)
    assert projects["weekly"].pseudonyms.days("MRN1") % 7 == 0
    assert ":weeks:" in projects["weekly"].digest and ":weeks" not in projects["default"].digest
    archive.close()


@pytest.mark.parametrize(
    "routes",
    [
        '[[routes]]\nfrom = "CT01"\nproject = "default"\n',
        '[[routes]]\nfrom = "*"\ncalled = "FIRST"\nproject = "default"\n'
        '[projects.second]\n[[routes]]\nfrom = "*"\ncalled = "LETHE"\nproject = "second"\n',
    ],
)
def test_what_goes_on_to_another_project_of_this_node_goes_in_no_circle(routes: str, tmp_path: Path) -> None:
    config = load_config(write(tmp_path, f'{ITSELF}[projects.default]\nsend_to = ["me"]\n{routes}'))
    assert config.project("default")
