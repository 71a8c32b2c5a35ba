"""The public names are exactly these."""

import os
import subprocess
import sys

import runner

NAMES = """
AcpAgent ActorCrashed ActorError ActorGaveUp Agent AgentError AgentUnavailable AlreadyExists ApprovalAsked Approvals BackendPool
Background Batch ClaudeAgent CodexAgent CommandAgent CompositeBackend ConfigError Console Control ConversationLost
Danger DangerousCommand Decision DecodeFailed Denied Destroyed Done Downloaded Drawing EditFailed
Entry ErrorClass ExecFailed Failure FileChanged FileMatches FileStat Follower Found Fresh InForce
InvalidArgument InvalidPath InvalidPattern Isolation JsonLines LedgerBusy LedgerError Limits Line
LineChange Lines
Lint Listing LocalBackend LogEntry Match Matches McpServer MemoryBackend MemoryLimits NetworkDecision NoSpace NotEmpty
NotFound OperationError OperationLog Outcome PRESETS PathEscapes PermissionDenied Permissions
PermittedBackend PluginAgent PoolClosed PoolError PoolFull Problem ProcessInfo Question ReadOnly
ReadOnlyBackend ReadingStream ReplayAgent Replacement Report Rewound Rule Rules Ruleset Runner RunnerConfig RunnerError
Scope Secret Session SessionBusy SessionClosed SessionConfig SessionOwned ShellAgent Status StatusChange Stored SupervisorClosed Turn Usage
Who WritingStream WrongType asking_as create_ruleset find_danger line_hash make_session open_runner
pick_agent with_hashes
Audit AuditRecord Change CommitError CommitRecord Diff HookVeto Hooks InvalidName ObjectMissing Processed Project SnapshotExists
SnapshotNotFound SnapshotRecord Snapshots StoreDamaged StoreError SyncError UncommittedChanges Workspace WorkspaceBusy
WorkspaceError WorkspaceExists WorkspaceNotFound WorkspaceRecord
""".split()


def test_the_public_names_are_exactly_these():
    assert sorted(NAMES) == sorted(runner.__all__)


def test_every_public_name_is_there_and_has_a_docstring():
    for name in NAMES:
        value = getattr(runner, name)

        assert name == "Agent" or value.__doc__, name


def test_a_name_that_is_not_public_is_an_attribute_error():
    assert not hasattr(runner, "no_such_name")
    assert "open_runner" in dir(runner)


def test_importing_runner_imports_nothing_heavy():
    heavy = ["trio", "attrs", "cattrs", "rich", "click", "asyncio", "sqlite3", "jinja2", "msgspec"]
    code = f"import sys, runner; print([m for m in {heavy!r} if m in sys.modules])"
    # Measuring coverage in the child would import some of these.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )

    assert done.stdout == "[]\n"
