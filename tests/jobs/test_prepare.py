from __future__ import annotations

import os
import shutil
import subprocess

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.agents.driver import ClaudeAgent, CommandAgent, ShellAgent
from runner.config import Document, structure
from runner.errors import ConfigError
from runner.jobs.output import Output
from runner.jobs.plan import Source
from runner.jobs.prepare import prepare
from runner.jobs.salvage import salvage
from runner.jobs.spec import Batch, Data, Workspace

KEYS = [field.name for field in attrs.fields(Batch)]
GOOD = 'name = "good"\nprompt = "echo {{ row.a }}"\n'


class Desk:
    """A directory with batch files in it."""

    def __init__(self, root):
        self.root = root

    def write(self, text, name="b.toml", **files):
        for each, content in files.items():
            (self.root / each.replace("__", ".")).write_text(content)
        (self.root / name).write_text(text)

    def plan(self, text=None, *overrides, **options):
        if text is not None:
            self.write(text)
        before = self.tree()
        try:
            return prepare(self.root / "b.toml", overrides, **options)
        finally:
            assert before == self.tree()  # nothing is ever created

    def problems(self, text=None, *overrides, **options):
        """What is wrong, as `file:line: key: what` with short file names."""
        with pytest.raises(ConfigError) as caught:
            self.plan(text, *overrides, **options)
        return [str(each).replace(f"{self.root}/", "") for each in caught.value.problems]

    def tree(self):
        return sorted(os.path.join(*each) for at, _, names in os.walk(self.root) for each in
                      [(at, name) for name in names])  # fmt: skip


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


# ---------------------------------------------------------------- bad input, by the names


def test_a_missing_file(desk):
    assert desk.problems() == ["b.toml: there is no such file"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ('silence = "soon"', "limits.silence: must be a number of seconds or a text"),
        ("silence = -1", "limits.silence: must be 0 seconds or more, not -1"),
    ],
)
def test_a_silence_that_is_none(desk, limits, said):
    (problem,) = desk.problems(GOOD.replace("{{ row.a }}", "x") + f"[limits]\n{limits}\n")

    assert problem.startswith(f"b.toml:4: {said}")


def test_a_watch_that_is_none(desk):
    text = GOOD.replace("{{ row.a }}", "x") + '[workspace]\nempty = true\nwatch = "no"\n'

    assert ["b.toml:5: workspace.watch: must be true or false, not 'no'"] == desk.problems(text)


def test_a_prompt_of_10_mb(desk):
    text = 'name = "b"\nprompt = "{{ row.a }}{{ \'x\' * 9999990 }}"\n'
    rows = "".join(f'[[data.rows]]\na = "{a}"\n' for a in ("short", "x" * 10, "y" * 10))
    (problem,) = desk.problems(text + rows)

    what = "it comes out longer than the 9999999 characters that the agent takes"
    assert f"b.toml:2: prompt: {what} (data.rows[2] and 1 more)" == problem


def test_a_command_may_be_longer_than_a_prompt(desk):
    text = 'name = "b"\nprompt = "x"\nverify = ["true {{ \'x\' * 9999999 }}"]\n'

    assert 1 == len(desk.plan(text).jobs)


def test_a_configuration_of_the_agent_that_cannot_be_used(desk):
    text = 'name = "b"\nprompt = "x"\n[agent]\nkind = "codex"\nprogram = "sh"\nconfig = "= 1"\n'
    (problem,) = desk.problems(text)

    assert problem.startswith("b.toml:3: agent: ")


def test_a_record_with_a_value_of_another_type():
    with pytest.raises(ConfigError, match="agent: ClaudeAgent.model must be a text, not 7"):
        prepare(Batch(name="b", prompt="x", agent=ClaudeAgent(program="sh", model=7)))


def test_not_toml(desk):
    assert desk.problems("name = \n") == ["b.toml:1: not TOML: invalid value"]


def test_what_is_wrong_in_form_hides_nothing_that_is_wrong_in_meaning(desk):
    text = 'name = "x"\nagent = "cluade"\nprompts = ["{{ nobody }}"]\nrepeet = 2\n'

    first, second, third = desk.problems(text)

    assert "b.toml:2: agent: 'cluade' is no built-in agent" in first
    assert "b.toml:3: prompts[1]: " in second
    assert "b.toml:4: repeet: there is no such key; did you mean 'repeat'?" == third


def test_without_its_rows_a_files_templates_are_read_and_not_rendered(desk):
    text = """\
name = "x"
agent = "shel"
prompt = "{{ row.a }} {{ nobody }}"
verify = ["{% if %}"]
id = "{{ row.b }}"
[data]
csvv = "rows.csv"
[workspace]
copy = "nope"
"""

    found = desk.problems(text, select="row.a ==")

    assert [problem.split(": ")[:2] for problem in found] == [
        ["b.toml:2", "agent"],
        ["b.toml:3", "prompt"],
        ["b.toml:4", "verify[1]"],
        ["b.toml:7", "data.csvv"],
        ["b.toml:9", "workspace.copy"],
        ["--select", "not an expression"],
    ]


def test_one_wrong_option_hides_none_of_its_neighbours(desk):
    text = """\
name = 3
prompts = ["x", 7, "{{ nobody }}"]
[agent]
kind = "claude"
modell = "m"
program = "no-such-claude"
[workspace]
copy = "nope"
reff = "main"
"""

    assert [problem.split(": ")[:2] for problem in desk.problems(text)] == [
        ["b.toml:1", "name"],
        ["b.toml:2", "prompts[2]"],
        ["b.toml:2", "prompts[3]"],
        ["b.toml:5", "agent.modell"],
        ["b.toml:6", "agent.program"],
        ["b.toml:8", "workspace.copy"],
        ["b.toml:9", "workspace.reff"],
    ]


def test_what_follows_from_a_mistake_is_no_other_one(desk):
    misspelt = 'name = "n"\npromt = "x"\n[workspace]\ncoppy = "."\n[agent]\nkind = "clod"\n'
    missing = 'name = " "\nrepeet = 2\n'
    both = 'name = "n"\nprompt = "x"\nprompt_file = "no"\n[data]\ncsv = "no"\nglob = 5\n'

    assert [problem.split(": ")[1] for problem in desk.problems(misspelt)] == [
        "promt", "workspace.coppy", "agent.kind",
    ]  # fmt: skip
    assert [problem.split(": ")[1] for problem in desk.problems(missing)] == [
        "needs one of prompt, prompts, prompt_file", "name must not be empty", "repeet",
    ]  # fmt: skip
    assert [problem.split(": ")[1] for problem in desk.problems(both)] == [
        "takes only one of prompt and prompt_file", "data.glob",
    ]  # fmt: skip


VALUES = st.recursive(
    st.sampled_from([3, -1, True, "x", "", "{{ x }}", "claude", "command", "5m"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from([*KEYS, "kind", "csv", "rows", "copy", "argv", "env"]), inner
        )
    ),
    max_leaves=6,
)


@settings(deadline=None)
@example(data={"agent": {"kind": "command", "env": {"X": 1}}})
@example(data={"name": "n", "prompt": "", "prompt_file": "x"})
@given(data=st.dictionaries(st.sampled_from([*KEYS, "nmae", "promt"]), VALUES))
def test_of_any_tables_something_can_be_salvaged_and_form_is_judged_in_full(data):
    document = Document(where="b.toml", data=data, lines={})
    try:
        structure(document, Batch)
        wrong = set()
    except ConfigError as exc:
        wrong = set(exc.problems)

    found = set(salvage(document).problems)

    assert wrong <= found
    assert bool(wrong) == bool(found)


def test_wrong_types(desk):
    text = 'name = 1\nprompt = "x"\nrepeat = "2"\n[limits]\nconcurrency = 1.5\n'

    assert desk.problems(text) == [
        "b.toml:1: name: must be a text, not 1",
        "b.toml:3: repeat: must be a whole number, not '2'",
        "b.toml:5: limits.concurrency: must be a whole number, not 1.5",
    ]


def test_unknown_keys(desk):
    text = 'name = "n"\npromt = "x"\n[limits]\nturn_timeot = 3\n'

    assert desk.problems(text) == [
        "b.toml:2: promt: there is no such key; did you mean 'prompt' or 'prompts'?",
        "b.toml:4: limits.turn_timeot: there is no such key; "
        "did you mean 'turn_timeout' or 'job_timeout'?",
    ]


def test_a_template_with_undefined_names(desk):
    text = """\
name = "n"
prompts = ["fix {{ row.paht }}", '''
first
{{ nmae }} and {{ row.lang }}''']
verify = ["{{ idx }}"]
[[data.rows]]
path = "a"
[[data.rows]]
path = "b"
lang = "py"
"""
    names = "there are attempt, batch, id, index, repeat, row"

    assert sorted(desk.problems(text)) == [
        "b.toml:2: prompts[1]: the row has no 'paht'; did you mean 'path'? "
        "(data.rows[1] and 1 more)",
        f"b.toml:2: prompts[2]: line 2 of the template: 'nmae' is undefined; {names}",
        "b.toml:2: prompts[2]: line 2 of the template: the row has no 'lang'; there are path "
        "(data.rows[1])",
        "b.toml:5: verify[1]: 'idx' is undefined; did you mean 'id' or 'index'?",
    ]


def test_an_undefined_name_in_a_prompt_file_has_that_files_line(desk):
    desk.write("", name="p.md")
    (desk.root / "p.md").write_text("one\n\n{{ row.b }}\n")
    text = 'name = "n"\nprompt_file = "p.md"\ndata.rows = [{a = 1}]'

    assert desk.problems(text) == ["p.md:3: the row has no 'b'; there are a (data.rows[1])"]


def test_an_undefined_name_that_only_a_later_attempt_meets(desk):
    text = 'name = "n"\nprompt = "{% if attempt == 2 %}{{ row.b }}{% endif %}x"\n'
    rows = "data.rows = [{a = 1}]\n"

    assert desk.plan(text + rows + "retry.infra = 0").jobs
    assert desk.problems(text + rows + "retry.infra = 1") == [
        "b.toml:2: prompt: the row has no 'b'; there are a (data.rows[1])"
    ]


def test_a_template_that_is_none(desk):
    prompt, of_id = desk.problems('name = "n"\nprompt = "{% for %}"\nid = "{{ 1 + }}"')

    assert prompt.startswith("b.toml:2: prompt: not a template: ")
    assert of_id == "b.toml:3: id: not a template: unexpected 'end of print statement'"


def test_a_template_that_fails_or_comes_out_empty(desk):
    text = 'name = "n"\nprompt = "{{ 1 / row.a }}"\nsetup = ["{{ row.b }}"]\ndata.rows = [{a = 0, b = " "}]'

    assert desk.problems(text) == [
        "b.toml:2: prompt: ZeroDivisionError: division by zero (data.rows[1])",
        "b.toml:3: setup[1]: it comes out empty (data.rows[1])",
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.csv", "a,b\n1,2\n3\n4,5,6\n", ["d.csv:3: has 1 field, the header 2",
                                           "d.csv:4: has 3 fields, the header 2"]),
        ("d.csv", 'a\n"x\n', ["d.csv:2: not CSV: unexpected end of data"]),
        ("d.csv", "a,a\n1,2\n", ["d.csv:1: the column 'a' is there twice"]),
        ("d.csv", "a,\n1,2\n", ["d.csv:1: a column has no name"]),
        ("d.csv", "a\n", ["b.toml:3: data: there are no rows"]),
        ("d.csv", "", ["b.toml:3: data: there are no rows"]),
        ("d.jsonl", '{"a": 1}\n\n{"a": \n[1]\n', [
            "d.jsonl:3: not JSON: Expecting value: line 1 column 7 (char 6)",
            "d.jsonl:4: must be a JSON object"]),
    ],
)  # fmt: skip
def test_a_data_file_with_a_broken_line(desk, name, content, expected):
    (desk.root / name).write_text(content)

    assert expected == desk.problems(f'{GOOD}data.{name.split(".")[1]} = "{name}"')


def test_a_data_file_that_is_not_there(desk):
    assert desk.problems(GOOD + 'data.csv = "no.csv"') == [
        "b.toml:3: data.csv: no.csv: there is no such file"
    ]
    assert desk.problems(GOOD + 'data = {glob = "*.py", root = "no"}') == [
        "b.toml:3: data.root: there is no directory 'no'"
    ]
    [problem] = desk.problems(GOOD + 'data.glob = "*.py"')
    assert problem.startswith("b.toml:3: data.glob: no file matches '*.py' in '")


def test_duplicate_job_ids(desk):
    text = GOOD + 'id = "x-{{ row.a }}"\ndata.rows = [{a = 1}, {a = 2}, {a = 1}]'

    assert desk.problems(text) == [
        "b.toml:3: id: the id 'x-1' is there twice, first for data.rows[1] (data.rows[3])"
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-x", "x" * 121, "ä"])
def test_ids_that_cannot_name_files(desk, name):
    [problem] = desk.problems(GOOD + f'id = "{{{{ row.a }}}}"\ndata.rows = [{{a = "{name}"}}]')

    assert problem.startswith(f"b.toml:3: id: the id {name!r} cannot name a file")


def test_an_unknown_agent(desk):
    assert desk.problems('agent = "claud"\nname = "n"\nprompt = "x"') == [
        "b.toml:1: agent: 'claud' is no built-in agent, nor the path of a .toml file; "
        "did you mean 'claude'?"
    ]


def test_an_agent_that_needs_options(desk):
    assert desk.problems('agent = "command"\nname = "n"\nprompt = "x"') == [
        "b.toml:1: agent: 'command' needs options: give a table with kind = 'command', "
        "or a .toml file"
    ]


def test_mistakes_in_an_agents_own_file(desk):
    (desk.root / "a.toml").write_text('kind = "claude"\nmodle = "x"\naccess = "all"')
    text = 'name = "n"\nagent = "a.toml"\nprompt = "x"'

    assert desk.problems(text) == [
        "a.toml:2: modle: there is no such key; did you mean 'model'?",
        "a.toml:3: access: must be one of 'read-only', 'workspace-write', "
        "'danger-full-access', not 'all'",
    ]
    assert desk.problems(text.replace("a.toml", "no.toml")) == ["no.toml: there is no such file"]


@pytest.mark.parametrize(
    ("agent", "key", "program"),
    [
        ('{kind = "claude", program = "no-such-claude"}', "program", "no-such-claude"),
        ('{kind = "codex", program = "/no/such/codex"}', "program", "/no/such/codex"),
        ('{kind = "shell", shell = "no-such-sh"}', "shell", "no-such-sh"),
        ('{kind = "command", argv = ["no-such", "-x"]}', "argv", "no-such"),
        ('{kind = "shell", env = {PATH = "/nowhere"}}', "shell", "sh"),
    ],
)
def test_a_program_that_is_not_installed(desk, agent, key, program):
    assert desk.problems(f'name = "n"\nprompt = "x"\nagent = {agent}') == [
        f"b.toml:3: agent.{key}: the program {program!r} is not installed, or not in PATH"
    ]


def test_a_command_without_a_program(desk):
    assert desk.problems('name = "n"\nprompt = "x"\nagent = {kind = "command", argv = []}') == [
        "b.toml:3: agent.argv: must name a program"
    ]


def test_an_output_directory_of_another_batch(desk):
    rows = "data.rows = [{a = 1}, {a = 2}, {a = 3}]"
    plan = desk.plan(GOOD + rows)
    Output(str(desk.root / "out")).claim(plan.identity)
    out = desk.root / "out"

    assert desk.plan(GOOD + rows, output=out)
    assert desk.plan(GOOD + rows, "limits.concurrency=7", "retry.infra=9", output=out)
    assert desk.problems(
        'name = "bad"\nprompt = "echo {{ row.a }}"\nworkspace.copy = "."\n'
        "data.rows = [{a = 1}, {a = 4}, {a = 3}, {a = 5}]",
        output=out,
    ) == [
        "out: it belongs to another batch: its name was 'good' and is 'bad'; its workspace "
        "differs; 1 job is new: 0004; 1 job is changed: 0002"
    ]
    assert desk.problems(GOOD + "data.rows = [{a = 1}]", output=out) == [
        "out: it belongs to another batch: 2 jobs are gone: 0002, 0003"
    ]


def test_jobs_in_another_order_are_another_batch(desk):
    text = 'name = "n"\nprompt = "x"\nid = "{{ row.a }}"\n'
    first = desk.plan(text + 'data.rows = [{a = "1"}, {a = "2"}]').identity
    second = desk.plan(text + 'data.rows = [{a = "2"}, {a = "1"}]').identity

    assert first.differences(second) == ["its jobs are in another order"]
    assert first.differences(first) == []


def test_an_output_directory_that_is_nobodys(desk):
    out = desk.root / "out"
    out.mkdir()
    assert desk.plan(GOOD + "data.rows = [{a = 1}]", output=out)
    (out / ".runner").mkdir()
    assert desk.plan(output=out)
    (out / "mine.txt").touch()

    assert desk.problems(output=out) == ["out: it is not empty, and no batch's output"]
    assert desk.problems(output=out / "mine.txt") == [
        "out/mine.txt: it cannot be used: Not a directory"
    ]


def test_an_output_directory_of_another_version_or_broken(desk):
    (desk.root / "out" / ".runner").mkdir(parents=True)
    file = desk.root / "out" / ".runner" / "batch.json"
    file.write_text('{"schema": "runner.batch/9"}')
    text = GOOD + "data.rows = [{a = 1}]"

    assert desk.problems(text, output=desk.root / "out") == [
        "out: it is of another version of runner (runner.batch/9)"
    ]
    file.write_text("{")
    [problem] = desk.problems(text, output=desk.root / "out")
    assert problem.startswith("out: its batch.json cannot be read: ")


@pytest.mark.parametrize("kind", ["copy", "in_place"])
def test_a_workspace_source_that_is_not_there(desk, kind):
    assert desk.problems(f'name = "n"\nprompt = "x"\nworkspace.{kind} = "no"') == [
        f"b.toml:3: workspace.{kind}: there is no directory 'no'"
    ]


def test_a_repository_that_is_not_there(desk):
    assert desk.problems('name = "n"\nprompt = "x"\nworkspace.repo = "."') == [
        f"b.toml:3: workspace.repo: there is no git repository at '{desk.root}'"
    ]


def test_git_that_is_not_installed(desk, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    agent = 'agent = {kind = "shell", shell = "/bin/sh"}'

    assert desk.problems(f'name = "n"\nprompt = "x"\n{agent}\nworkspace.repo = "a:b"') == [
        "b.toml:4: workspace.repo: the program 'git' is not installed"
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "needs one of prompt, prompts, prompt_file"),
        ('prompt = "x"\nprompts = ["y"]', "takes only one of prompt and prompts"),
        ("prompts = []", "needs one of prompt, prompts, prompt_file"),
        ('prompt = "x"\ndata = {}', "needs one of csv, jsonl, glob, rows"),
        ('prompt = "x"\ndata = {csv = "a", rows = []}', "takes only one of csv and rows"),
        ('prompt = "x"\ndata = {rows = [], root = "a"}', "root is only for glob"),
        ('prompt = "x"\nworkspace = {}', "needs one of copy, repo, empty, in_place"),
        ('prompt = "x"\nworkspace = {empty = true, ref = "a"}', "ref is only for repo"),
        ('prompt = "x"\nname = " "', "name must not be empty"),
    ],
)
def test_rules_about_several_keys(desk, line, what):
    text = line if "name" in line else f'name = "n"\n{line}'
    [problem] = desk.problems(text)

    assert problem.endswith(f": {what}")


def test_everything_wrong_in_all_files_is_reported_at_once(desk):
    (desk.root / "d.csv").write_text("a\n1,2\n")
    (desk.root / "p.md").write_bytes(b"\xff")
    text = """\
name = "n"
agent = "sehll"
prompt_file = "p.md"
verify = ["{{ x }}"]
data.csv = "d.csv"
workspace.copy = "no"
"""

    assert [problem.split(": ")[0] for problem in desk.problems(text, select="row.a ==")] == [
        "b.toml:2", "b.toml:3", "b.toml:4", "b.toml:6", "--select", "d.csv:2",
    ]  # fmt: skip


# ---------------------------------------------------------------- good input


def test_jobs_of_rows_have_numbers_ids_and_texts(desk):
    text = """\
name = "n"
prompts = ["{{ batch }} {{ id }} {{ index }} {{ repeat }}", "{{ row.items }}"]
setup = ["touch {{ row.path | quote }}"]
verify = ["test {{ attempt }} = 2"]
repeat = 2
[[data.rows]]
path = "src/Ä pp.py"
items = "i"
[[data.rows]]
path = ""
items = 2
"""
    plan = desk.plan(text)

    assert [(job.number, job.id, job.index, job.repeat) for job in plan.jobs] == [
        (1, "0001-src-A-pp.py-r1", 1, 1),
        (2, "0001-src-A-pp.py-r2", 1, 2),
        (3, "0002-r1", 2, 1),
        (4, "0002-r2", 2, 2),
    ]
    assert plan.jobs[1].first.prompts == ("n 0001-src-A-pp.py-r2 1 2", "i")
    assert plan.jobs[1].first.setup == ("touch 'src/Ä pp.py'",)
    assert plan.rendered(plan.jobs[0], 1).verify == ("test 1 = 2",)
    assert plan.rendered(plan.jobs[0], 2).verify == ("test 2 = 2",)
    assert plan.selected == {job.id for job in plan.jobs}
    assert plan.agent == ShellAgent()
    assert plan.source == Source(kind="empty")
    assert 1 <= plan.concurrency <= 4


def test_a_batch_without_data_has_one_job(desk):
    plan = desk.plan('name = "My batch!"\nprompt = "x"\nlimits.concurrency = 9')

    assert [job.id for job in plan.jobs] == ["My-batch"]
    assert plan.rendered(plan.jobs[0], 3) is plan.jobs[0].first
    assert plan.concurrency == 9


def test_an_id_template_that_uses_repeat_gets_no_suffix(desk):
    text = 'name = "n"\nprompt = "x"\nrepeat = 2\nid = " {{ repeat }}-{{ batch }} "'

    assert [job.id for job in desk.plan(text).jobs] == ["1-n", "2-n"]
    assert [job.id for job in desk.plan(text, "id=a").jobs] == ["a-r1", "a-r2"]


def test_an_id_template_with_an_undefined_name(desk):
    text = 'name = "n"\nprompt = "x"\nid = "{{ row.a }}"\ndata.rows = [{b = 1}, {b = 2}]'

    assert desk.problems(text) == [
        "b.toml:3: id: the row has no 'a'; there are b (data.rows[1] and 1 more)"
    ]


def test_rows_from_csv_jsonl_and_glob(desk):
    (desk.root / "d.csv").write_text('a,b c\r\n1,"x\r\ny"\r\n\r\n2,\r\n')
    (desk.root / "d.jsonl").write_text('{"a": {"b": [1]}}\n{"a": null}')
    (desk.root / "src").mkdir()
    for name in ("z.py", "a.pyi", "no.txt"):
        (desk.root / "src" / name).touch()

    csv = desk.plan('name = "n"\nprompt = "{{ row.a }}{{ row[\'b c\'] }}"\ndata.csv = "d.csv"')
    assert [job.row for job in csv.jobs] == [{"a": "1", "b c": "x\r\ny"}, {"a": "2", "b c": ""}]
    jsonl = desk.plan('name = "n"\nprompt = "{{ row.a | tojson }}"\ndata.jsonl = "d.jsonl"')
    assert [job.first.prompts[0] for job in jsonl.jobs] == ['{"b": [1]}', "null"]
    glob = desk.plan(
        'name = "n"\nprompt = "{{ row.path }} {{ row.name }} {{ row.stem }}"\n'
        'data = {glob = "**/*.{py,pyi}", root = "src"}'
    )
    assert [job.first.prompts[0] for job in glob.jobs] == ["a.pyi a.pyi a", "z.py z.py z"]
    everything = desk.plan('name = "n"\nprompt = "{{ row.path }}"\ndata.glob = "src/*"')
    assert [job.index for job in everything.jobs] == [1, 2, 3]


def test_a_prompt_file_is_relative_to_the_batch_file(desk, monkeypatch):
    (desk.root / "sub").mkdir()
    (desk.root / "sub" / "p.md").write_text("hi {{ index }}\n")
    monkeypatch.chdir("/")

    assert desk.plan('name = "n"\nprompt_file = "sub/p.md"').jobs[0].first.prompts == ("hi 1\n",)


def test_agents_by_name_file_table_and_override(desk):
    (desk.root / "a.toml").write_text('kind = "claude"\nprogram = "sh"\nmodel = "m"')
    text = 'name = "n"\nprompt = "x"\n'

    assert desk.plan(text + 'agent = "a.toml"').agent == ClaudeAgent(program="sh", model="m")
    assert desk.plan(text + 'agent = "a.toml"', "agent.model=k").agent == ClaudeAgent(
        program="sh", model="k"
    )
    assert desk.plan(text, "agent.shell=cat").agent == ShellAgent(shell="cat")
    assert desk.plan(text, "agent.program=sh", "agent=claude").agent == ClaudeAgent(program="sh")
    assert desk.plan(text + 'agent = {kind = "command", argv = ["./mine"]}').agent == CommandAgent(
        argv=("./mine",)
    )
    assert desk.plan(text, default_agent=str(desk.root / "a.toml")).agent == ClaudeAgent(
        program="sh", model="m"
    )


def test_select_chooses_jobs_and_leaves_the_batch_the_same(desk):
    text = GOOD + 'data.rows = [{a = 1, l = "py"}, {a = 2, l = "c"}, {a = 3, l = "py"}]'
    whole = desk.plan(text)
    some = desk.plan(text, select='row.l == "py" and index > 1')

    assert some.selected == {"0003-py"}
    assert some.jobs == whole.jobs
    assert whole.identity.differences(some.identity) == []


@pytest.mark.parametrize(
    ("select", "what"),
    [
        ("row.a ==", "not an expression: unexpected 'end of template'"),
        ("row.b", "the row has no 'b'; there are a"),
        ("nope == 1", "'nope' is undefined; there are batch, id, index, repeat, row"),
        ("index > 9", "no job matches 'index > 9'"),
        ("row.__class__.__mro__", "access to attribute '__class__' of 'dict' object is unsafe."),
    ],
)
def test_select_that_cannot_be_used(desk, select, what):
    [problem] = desk.problems(GOOD + "data.rows = [{a = 1}]", select=select)

    assert problem.startswith("--select: ")
    assert problem.endswith(what)


def test_a_record_is_prepared_like_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    batch = Batch(name="n", prompt="{{ row.a }}", data=Data(rows=({"a": "x"},)))

    assert prepare(batch).jobs[0].first.prompts == ("x",)
    with pytest.raises(ConfigError, match=r"batch 'n': workspace\.copy: there is no directory"):
        prepare(Batch(name="n", prompt="x", workspace=Workspace(copy="no")))


@pytest.mark.parametrize(
    ("repo", "is_url"),
    [
        ("https://git.example/shop.git", True),
        ("git@git.example:shop.git", True),
        ("file:///x", True),
    ],
)
def test_repositories_elsewhere_are_told_from_paths(desk, repo, is_url):
    plan = desk.plan(f'name = "n"\nprompt = "x"\nworkspace = {{repo = "{repo}", ref = "v1"}}')

    assert plan.source == Source(kind="repo", path=repo, ref="v1")
    assert plan.source.is_url == is_url


def test_a_repository_may_be_bare(desk):
    if shutil.which("git") is None:
        pytest.skip("needs git: install it from your distribution")
    subprocess.run(["git", "init", "-q", "--bare", desk.root / "r.git"], check=True)

    plan = desk.plan('name = "n"\nprompt = "x"\nworkspace.repo = "r.git"')
    assert plan.source == Source(kind="repo", path=str(desk.root / "r.git"), ref="HEAD")
    assert not plan.source.is_url
