"""The kernel: mailboxes, actors and their supervisor. It knows nothing of files, agents or jobs."""

from runner.actors.child_spec import ChildSpec as ChildSpec
from runner.actors.child_spec import Handle as Handle
from runner.actors.lanes import Lane as Lane
from runner.actors.supervisor import Supervisor as Supervisor
from runner.actors.supervisor import open_supervisor as open_supervisor
