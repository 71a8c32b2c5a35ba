"""Made by `python -m runner.bridge.stubs`; see there."""

# ruff: noqa

from runner import AcpAgent as AcpAgent
from runner import ActorCrashed as ActorCrashed
from runner import ActorError as ActorError
from runner import ActorGaveUp as ActorGaveUp
from runner import Agent as Agent
from runner import AgentError as AgentError
from runner import AgentUnavailable as AgentUnavailable
from runner import AlreadyExists as AlreadyExists
from runner import ApprovalAsked as ApprovalAsked
from runner import Approvals as Approvals
from runner import BackendPool as BackendPool
from runner import Background as Background
from runner import Batch as Batch
from runner import ClaudeAgent as ClaudeAgent
from runner import CodexAgent as CodexAgent
from runner import CommandAgent as CommandAgent
from runner import CompositeBackend as CompositeBackend
from runner import ConfigError as ConfigError
from runner import Console as Console
from runner import Control as Control
from runner import ConversationLost as ConversationLost
from runner import Danger as Danger
from runner import DangerousCommand as DangerousCommand
from runner import Decision as Decision
from runner import DecodeFailed as DecodeFailed
from runner import Denied as Denied
from runner import Destroyed as Destroyed
from runner import Done as Done
from runner import Downloaded as Downloaded
from runner import Drawing as Drawing
from runner import EditFailed as EditFailed
from runner import Entry as Entry
from runner import ErrorClass as ErrorClass
from runner import ExecFailed as ExecFailed
from runner import Failure as Failure
from runner import FileChanged as FileChanged
from runner import FileMatches as FileMatches
from runner import FileStat as FileStat
from runner import Follower as Follower
from runner import Found as Found
from runner import Fresh as Fresh
from runner import InForce as InForce
from runner import InvalidArgument as InvalidArgument
from runner import InvalidPath as InvalidPath
from runner import InvalidPattern as InvalidPattern
from runner import Isolation as Isolation
from runner import JsonLines as JsonLines
from runner import LedgerBusy as LedgerBusy
from runner import LedgerError as LedgerError
from runner import Limits as Limits
from runner import Line as Line
from runner import LineChange as LineChange
from runner import Lines as Lines
from runner import Lint as Lint
from runner import Listing as Listing
from runner import LocalBackend as LocalBackend
from runner import LogEntry as LogEntry
from runner import Match as Match
from runner import Matches as Matches
from runner import McpServer as McpServer
from runner import MemoryBackend as MemoryBackend
from runner import MemoryLimits as MemoryLimits
from runner import NetworkDecision as NetworkDecision
from runner import NoSpace as NoSpace
from runner import NotEmpty as NotEmpty
from runner import NotFound as NotFound
from runner import OperationError as OperationError
from runner import OperationLog as OperationLog
from runner import Outcome as Outcome
from runner import PRESETS as PRESETS
from runner import PathEscapes as PathEscapes
from runner import PermissionDenied as PermissionDenied
from runner import Permissions as Permissions
from runner import PermittedBackend as PermittedBackend
from runner import PluginAgent as PluginAgent
from runner import PoolClosed as PoolClosed
from runner import PoolError as PoolError
from runner import PoolFull as PoolFull
from runner import Problem as Problem
from runner import ProcessInfo as ProcessInfo
from runner import Question as Question
from runner import ReadOnly as ReadOnly
from runner import ReadOnlyBackend as ReadOnlyBackend
from runner import ReadingStream as ReadingStream
from runner import Replacement as Replacement
from runner import ReplayAgent as ReplayAgent
from runner import Report as Report
from runner import Rule as Rule
from runner import Rules as Rules
from runner import Ruleset as Ruleset
from runner import Runner as Runner
from runner import RunnerConfig as RunnerConfig
from runner import RunnerError as RunnerError
from runner import Scope as Scope
from runner import Secret as Secret
from runner import Session as Session
from runner import SessionBusy as SessionBusy
from runner import SessionClosed as SessionClosed
from runner import ShellAgent as ShellAgent
from runner import Status as Status
from runner import StatusChange as StatusChange
from runner import Stored as Stored
from runner import SupervisorClosed as SupervisorClosed
from runner import Turn as Turn
from runner import Usage as Usage
from runner import WritingStream as WritingStream
from runner import WrongType as WrongType
from runner import asking_as as asking_as
from runner import create_ruleset as create_ruleset
from runner import find_danger as find_danger
from runner import line_hash as line_hash
from runner import make_session as make_session
from runner import open_runner as open_runner
from runner import pick_agent as pick_agent
from runner import with_hashes as with_hashes

from typing import TypeVar
from runner.bridge.manners import Asyncio

T = TypeVar("T")

ASYNCIO: Asyncio

def wrap(target: T) -> T: ...
