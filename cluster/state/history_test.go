package state

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

// history drives a cluster with random commands from several nodes. What is
// proposed is applied once to three times, at once or later, as proposals are
// that are sent again after an unclear answer.
type history struct {
	*fixture
	rt      *rapid.T
	unclear []Proposal
	answers map[CommandID]Result
	made    int // things made so far, for ids
}

func newHistory(rt *rapid.T) *history {
	h := &history{fixture: newFixture(rt), rt: rt, answers: map[CommandID]Result{}}
	h.makeEnvironment(acct, "env_2", "comp_2")
	h.makeEnvironment(other, "env_b", "comp_b")
	h.do(SetLimits{Account: other, SetDaily: true, Daily: ptr(MicroUSD(40_000))})
	return h
}

func pick[T any](h *history, name string, from ...T) T {
	return rapid.SampledFrom(from).Draw(h.rt, name)
}

func (h *history) chance(percent int, of string) bool {
	return rapid.IntRange(1, 100).Draw(h.rt, of) <= percent
}

func (h *history) id(prefix string) string { h.made++; return fmt.Sprintf("%s_%d", prefix, h.made) }

func (h *history) amount() MicroUSD { return MicroUSD(rapid.IntRange(0, 9000).Draw(h.rt, "amount")) }

// step proposes one to three commands in an entry, with some that were sent before.
func (h *history) step() {
	h.pass(time.Duration(rapid.IntRange(0, 900).Draw(h.rt, "seconds")) * time.Second)
	if h.chance(10, "night") {
		h.pass(8 * time.Hour) // so that days and months turn
	}
	var ps []Proposal
	for range rapid.IntRange(1, 3).Draw(h.rt, "commands") {
		n, cmd := h.command()
		p := h.propose(n, cmd)
		if p.ID.Incarnation != 0 && h.chance(20, "acks") {
			p.Acked = h.counter[n] - min(h.counter[n], 6)
		}
		ps = append(ps, p)
		for h.chance(30, "resend") {
			h.unclear = append(h.unclear, p)
		}
	}
	for len(h.unclear) > 0 && h.chance(50, "late") {
		i := rapid.IntRange(0, len(h.unclear)-1).Draw(h.rt, "which")
		ps = append(ps, h.unclear[i])
		h.unclear = append(h.unclear[:i], h.unclear[i+1:]...)
	}
	done := h.entry(ps...)
	for i, r := range done.Results {
		h.answered(ps[i], r)
	}
}

// answered checks that a command sent again gets the answer it got first, or
// is told that its sender's life or its answer's is over.
func (h *history) answered(p Proposal, r Result) {
	if p.ID.Incarnation == 0 {
		return
	}
	first, again := h.answers[p.ID]
	if !again {
		h.answers[p.ID] = r
		return
	}
	if r.Fault != nil && r.Fault.Kind == "moved" {
		return
	}
	a, _ := Encode(first)
	b, _ := Encode(r)
	if !bytes.Equal(a, b) {
		h.rt.Fatalf("%v %s answered %+v and then %+v", p.ID, p.Kind, first, r)
	}
}

func (h *history) command() (NodeID, Command) {
	n := pick(h, "node", n1, n2, n3)
	groups := [][]func(NodeID) Command{
		{h.start, h.start, h.task, h.append, h.append, h.append, h.append, h.finish, h.cancel},
		{h.claim, h.claim, h.handOver, h.giveDisk, h.restore, h.phase, h.wish, h.usage, h.usage, h.keepDisk, h.save},
		{h.renew, h.renew, h.expire, h.expire, h.life, h.life, h.drain},
		{h.environment, h.makeDefault, h.deleteEnvironment, h.patch, h.deleteThread, h.copy},
		{h.session, h.session, h.endSession, h.port, h.share, h.redeem},
		{h.credit, h.requests, h.agent, h.sweep, h.limits, h.uses},
		{h.schedule, h.schedule, h.reschedule, h.fire, h.fire, h.fire, h.trigger},
	}
	group := groups[pick(h, "group", 0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6)]
	cmd := rapid.SampledFrom(group).Draw(h.rt, "command")(n)
	if _, unnumbered := cmd.(TakeIncarnation); unnumbered {
		return "", cmd
	}
	return n, cmd
}

func (h *history) uses(NodeID) Command {
	return RecordUses{Uses: []Use{used(pick(h, "use", ExecRun, FileRead, BackupTake), rapid.IntRange(1, 9).Draw(h.rt, "times"))}}
}

func (h *history) start(NodeID) Command {
	cmd := StartRun{Account: pick(h, "account", acct, other), Run: h.newRun()}
	cmd.Message = &Message{ID: MessageID(h.id("msg")), Role: "user", Content: "go on"}
	if h.chance(70, "reserves") {
		cmd.Reserve = &Reservation{ID: ReservationID(h.id("resv")), Amount: h.amount()}
	}
	if ts, _ := all(h.store, &threads); len(ts) > 0 && h.chance(60, "old thread") {
		cmd.Thread = rapid.SampledFrom(ts).Draw(h.rt, "thread").ID
	} else {
		cmd.Create = &Thread{ID: ThreadID(h.id("thread")), Account: cmd.Account, Environment: pick(h, "env", env, "env_2", "env_b")}
	}
	if h.chance(30, "keyed") {
		cmd.Idempotency = &Idempotency{Key: pick(h, "key", "x", "y"), Hash: pick(h, "hash", "1", "1", "2")}
	}
	return cmd
}

// task makes a task, on a computer of its own or one that is there, or gives it
// one more prompt.
func (h *history) task(n NodeID) Command {
	cmd := StartTask{Start: h.start(n).(StartRun)}
	if cmd.Start.Create == nil {
		return cmd
	}
	cmd.Start.Create.Environment, cmd.Start.Create.Task = "", &Task{Visibility: TaskShared}
	cmd.Start.Create.Computer = h.anyComputer().ID
	if h.chance(50, "own computer") {
		cmd.Computer = &Computer{ID: ComputerID(h.id("comp")), Origin: OriginRebyte}
		cmd.Start.Create.Computer = cmd.Computer.ID
	}
	return cmd
}

func (h *history) newRun() Run {
	return Run{ID: RunID(h.id("run")), Config: RunConfig{Model: pick(h, "model", "script", "lab/coder", ""), Agent: pick(h, "agent", AgentID(""), "agent_x", "agent_y")}}
}

// live draws a run, mostly of those in progress, and its computer.
func (h *history) live() (Run, Computer) {
	var live []Run
	recs, _ := all(h.store, &runs)
	for _, r := range recs {
		if !r.Status.Over() || h.made%10 == 0 {
			live = append(live, r)
		}
	}
	if len(live) == 0 {
		return Run{ID: "none", Thread: "none"}, Computer{}
	}
	r := rapid.SampledFrom(live).Draw(h.rt, "run")
	c, _, _ := h.view().AnyComputer(r.Computer)
	return r, c
}

func (h *history) append(NodeID) Command {
	r, c := h.live()
	t, _, _ := h.view().AnyThread(r.Thread)
	cmd := Append{Thread: r.Thread, Run: r.ID, Epoch: c.Epoch, FirstSeq: t.LastSeq + 1}
	if h.chance(15, "wrong") {
		cmd.FirstSeq += uint64(rapid.IntRange(0, 2).Draw(h.rt, "seq"))
		cmd.Epoch += Epoch(rapid.IntRange(0, 1).Draw(h.rt, "epoch"))
	}
	for range rapid.IntRange(0, 4).Draw(h.rt, "events") {
		cmd.Events = append(cmd.Events, Event{Kind: pick(h, "kind", EventText, EventText, EventItemCompleted), Text: "a piece"})
	}
	if open, _ := h.view().ReservationsOf(r.ID); len(open) > 0 && h.chance(70, "settles") {
		cmd.Settle = &Settlement{Reservation: open[0].ID, Charge: ChargeID(h.id("rec")), Cost: open[0].Amount * MicroUSD(rapid.IntRange(0, 4).Draw(h.rt, "cost")) / 4}
	}
	if h.chance(50, "reserves") {
		cmd.Reserve = &Reservation{ID: ReservationID(h.id("resv")), Amount: h.amount()}
	}
	if h.chance(40, "steps") {
		cmd.Step = &Usage{InputTokens: int64(rapid.IntRange(0, 99).Draw(h.rt, "in")), CachedTokens: 1, OutputTokens: int64(rapid.IntRange(0, 99).Draw(h.rt, "out"))}
	}
	return cmd
}

func (h *history) finish(n NodeID) Command {
	cmd := h.append(n).(Append)
	cmd.Finish = &Finish{Status: pick(h, "status", RunSuccess, RunFailed, RunCancelled, RunRunning), Message: MessageID(h.id("msg")), Content: "done"}
	return cmd
}

func (h *history) cancel(NodeID) Command {
	r, _ := h.live()
	return CancelRun{Account: r.Account, Thread: r.Thread}
}

func (h *history) anyComputer() Computer {
	cs, _ := all(h.store, &computers)
	return rapid.SampledFrom(append(cs, Computer{ID: "none"})).Draw(h.rt, "computer")
}

func (h *history) claim(n NodeID) Command {
	c := h.anyComputer()
	return Claim{Computer: c.ID, Node: pick(h, "to", n, n, n1, n2), Seen: c.Epoch - Epoch(rapid.IntRange(0, 9).Draw(h.rt, "old")/9)}
}

func (h *history) handOver(n NodeID) Command {
	c := h.anyComputer()
	return HandOver{Computer: c.ID, Epoch: c.Epoch - Epoch(rapid.IntRange(0, 9).Draw(h.rt, "old")/9), To: pick(h, "to", n1, n2, n3)}
}

func (h *history) giveDisk(NodeID) Command {
	c := h.anyComputer()
	return GiveDisk{Computer: c.ID, Epoch: c.Epoch, To: pick(h, "to", n1, n2, n3), Sent: Sent{Name: h.id("sent")}}
}

func (h *history) restore(NodeID) Command {
	c := h.anyComputer()
	if h.chance(20, "back") {
		return ReturnDisk{Computer: c.ID, Epoch: c.Epoch, Error: "full"}
	}
	return RestoreDisk{Computer: c.ID, Epoch: c.Epoch, Save: c.Sent.Name}
}

func (h *history) drain(n NodeID) Command {
	if h.chance(60, "ends") {
		return UndrainNode{Node: n}
	}
	return DrainNode{Node: n}
}

func (h *history) phase(NodeID) Command {
	c := h.anyComputer()
	return SetPhase{Computer: c.ID, Epoch: c.Epoch, Phase: pick(h, "phase", append(Phases(), Running, Starting, Deleted)...), Idle: h.chance(20, "idle"), HasData: true}
}

func (h *history) wish(NodeID) Command {
	c := h.anyComputer()
	return SetWish{Account: c.Account, Computer: c.ID, Wish: pick(h, "wish", WishRunning, WishRunning, WishStopped, WishDeleted, "fly")}
}

func (h *history) usage(NodeID) Command {
	var cmd RecordUsage
	for range rapid.IntRange(1, 3).Draw(h.rt, "ticks") {
		c := h.anyComputer()
		cmd.Ticks = append(cmd.Ticks, Tick{Computer: c.ID, Epoch: c.Epoch, Metered: Metered{Cost: c.Metered.Cost + h.amount()},
			Charge: ChargeID(h.id("rec")), Next: ReservationID(h.id("resv")), Amount: h.amount()})
	}
	return cmd
}

func (h *history) keepDisk(n NodeID) Command {
	c := h.anyComputer()
	return KeepDisk{ID: SnapshotID(h.id("snap")), Computer: c.ID, Node: n, Epoch: c.Epoch}
}

// save is whatever has to do with saves, in any order.
func (h *history) save(n NodeID) Command {
	c, name := h.anyComputer(), h.id("save")
	switch pick(h, "save", 0, 0, 1, 2, 3, 4) {
	case 0:
		return SaveDisk{Computer: c.ID, Epoch: c.Epoch, Base: c.Saved.Name, Save: Save{Name: name, Store: "bucket", Clean: h.chance(50, "clean")}}
	case 1:
		return DirtyDisk{Computer: c.ID, Epoch: c.Epoch}
	case 2:
		return RestoreDisk{Computer: c.ID, Epoch: c.Epoch, Save: c.Saved.Name}
	case 3:
		return RecoverComputer{Account: c.Account, Computer: c.ID}
	}
	return ReachStore{Node: n, Store: pick(h, "store", "", "bucket")}
}

func (h *history) renew(n NodeID) Command { return RenewLease{Node: n, Incarnation: h.fixture.life[n]} }

func (h *history) expire(n NodeID) Command {
	to := pick(h, "dead", n1, n2, n3)
	return ExpireLease{Node: to, Renewal: h.node(to).Renewal - uint64(rapid.IntRange(0, 3).Draw(h.rt, "old")/3)}
}

// life starts a node again; it numbers its commands anew once it knows its incarnation.
func (h *history) life(n NodeID) Command {
	if next := h.node(n).Incarnation + 1; h.fixture.life[n] != next {
		h.fixture.life[n], h.counter[n] = next, 0
	}
	return TakeIncarnation{Node: n, Nonce: fmt.Sprintf("%s-%d", n, h.fixture.life[n])}
}

func (h *history) environment(NodeID) Command {
	e := Environment{ID: EnvironmentID(h.id("env")), Account: acct, Default: h.chance(50, "default")}
	return CreateEnvironment{Environment: e, Computer: Computer{ID: ComputerID(h.id("comp"))}, IfNoDefault: h.chance(30, "if none")}
}

func (h *history) anyEnvironment() Environment {
	es, _ := all(h.store, &environments)
	return rapid.SampledFrom(append(es, Environment{ID: "none"})).Draw(h.rt, "environment")
}

func (h *history) makeDefault(NodeID) Command {
	e := h.anyEnvironment()
	if h.chance(50, "by update") {
		seen := e.Version
		e.Default, e.Inactive = h.chance(50, "default"), h.chance(30, "inactive")
		return UpdateEnvironment{Environment: e, Seen: seen}
	}
	return SetDefaultEnvironment{Account: e.Account, Environment: e.ID}
}

func (h *history) deleteEnvironment(NodeID) Command {
	e := h.anyEnvironment()
	return DeleteEnvironment{Account: e.Account, Environment: e.ID}
}

func (h *history) anyThread() Thread {
	ts, _ := all(h.store, &threads)
	return rapid.SampledFrom(append(ts, Thread{ID: "none"})).Draw(h.rt, "thread")
}

func (h *history) patch(NodeID) Command {
	t := h.anyThread()
	return PatchThread{Account: t.Account, Thread: t.ID, Status: ptr(pick(h, "status", append(ThreadStatuses(), "odd")...))}
}

func (h *history) deleteThread(NodeID) Command {
	t := h.anyThread()
	return DeleteThread{Account: t.Account, Thread: t.ID}
}

func (h *history) copy(NodeID) Command {
	t := h.anyThread()
	return CopyThread{Account: t.Account, From: t.ID, To: ThreadID(h.id("thread"))}
}

func (h *history) credit(NodeID) Command {
	return AddCredit{Account: pick(h, "account", acct, other, "none"), Charge: ChargeID(h.id("rec")), Amount: h.amount(),
		Idempotency: &Idempotency{Key: pick(h, "key", "x", "y", "z"), Hash: "3"}}
}

func (h *history) requests(NodeID) Command {
	if h.chance(30, "return") {
		w, _, _ := windows.find(h.store, "s")
		return ReturnRequests{Scope: "s", Start: w.Start, Count: 1}
	}
	return TakeRequests{Scope: "s", Limit: 10, Span: 15 * time.Minute, Want: rapid.IntRange(1, 4).Draw(h.rt, "want")}
}

func (h *history) agent(NodeID) Command {
	if as, _ := all(h.store, &agents); len(as) > 0 && h.chance(50, "delete") {
		a := rapid.SampledFrom(as).Draw(h.rt, "agent")
		return DeleteAgent{Account: a.Account, ID: a.ID}
	}
	return CreateAgent{Agent: Agent{ID: AgentID(h.id("agent")), Account: acct}}
}

func (h *history) session(NodeID) Command {
	c := h.anyComputer()
	id := h.id("sess")
	return OpenSession{Session: AccessSession{ID: SessionID(id), Account: c.Account, Computer: c.ID, Kind: ExecSession, Hash: id}, TTL: time.Hour}
}

func (h *history) endSession(NodeID) Command {
	ss, _ := all(h.store, &sessions)
	s := rapid.SampledFrom(append(ss, AccessSession{ID: "none"})).Draw(h.rt, "session")
	return RevokeSession{Account: s.Account, Computer: s.Computer, ID: s.ID}
}

func (h *history) port(NodeID) Command {
	c, port := h.anyComputer(), pick(h, "port", uint16(80), 8080)
	if h.chance(40, "unpublish") {
		return UnpublishPort{Account: c.Account, Computer: c.ID, Port: port}
	}
	return PublishPort{Account: c.Account, Port: Port{Computer: c.ID, Port: port, Visibility: PublicPort}}
}

func (h *history) share(NodeID) Command {
	if ss, _ := all(h.store, &shares); len(ss) > 0 && h.chance(50, "revoke") {
		s := rapid.SampledFrom(ss).Draw(h.rt, "share")
		return RevokeShare{Account: s.Account, Computer: s.Computer, ID: s.ID}
	}
	c, id := h.anyComputer(), h.id("share")
	s := Share{ID: ShareID(id), Account: c.Account, Computer: c.ID, Hash: id, AllowBrowser: true}
	if h.chance(50, "ends") {
		s.ExpiresAt = h.now.Add(30 * time.Minute)
	}
	return CreateShare{Share: s}
}

func (h *history) redeem(NodeID) Command {
	ss, _ := all(h.store, &shares)
	s := rapid.SampledFrom(append(ss, Share{Hash: "none"})).Draw(h.rt, "share")
	id := h.id("sess")
	return RedeemShare{Hash: s.Hash, Session: AccessSession{ID: SessionID(id), Kind: BrowserSession, Hash: id}, TTL: time.Hour}
}

func (h *history) schedule(NodeID) Command {
	s := Schedule{ID: ScheduleID(h.id("sched")), Account: pick(h, "account", acct, other), Environment: pick(h, "env", env, "env_2", "env_b"),
		Task: "go on", Enabled: h.chance(90, "enabled"), NextRunAt: h.now.Add(time.Duration(rapid.IntRange(1, 900).Draw(h.rt, "in")) * time.Second)}
	cmd := CreateSchedule{Schedule: s}
	if h.chance(40, "in a thread") {
		cmd.Thread = &Thread{ID: ThreadID(h.id("thread")), Account: s.Account, Environment: s.Environment}
	}
	return cmd
}

func (h *history) anySchedule() Schedule {
	ss, _ := all(h.store, &schedules)
	return rapid.SampledFrom(append(ss, Schedule{ID: "none"})).Draw(h.rt, "schedule")
}

func (h *history) reschedule(NodeID) Command {
	s := h.anySchedule()
	if h.chance(30, "delete") {
		return DeleteSchedule{Account: s.Account, ID: s.ID}
	}
	cmd := UpdateSchedule{Schedule: s, Seen: s.Version}
	cmd.Schedule.Enabled = h.chance(70, "enabled")
	cmd.Schedule.NextRunAt = later(h.now, s.LastTick).Add(time.Minute)
	return cmd
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// fire is mostly of a tick whose time has come.
func (h *history) fire(NodeID) Command {
	due, _ := h.view().DueSchedules(h.now, 10)
	s := rapid.SampledFrom(append(due, h.anySchedule())).Draw(h.rt, "due")
	cmd := Fire{Schedule: s.ID, Seen: s.Version, Tick: s.NextRunAt, Next: later(h.now, s.NextRunAt).Add(time.Minute), Missed: int64(pick(h, "missed", 0, 0, 3))}
	if h.chance(80, "starts") {
		start := h.started(s)
		cmd.Start = &start
	}
	if h.chance(10, "ends") {
		cmd.Next = time.Time{}
	}
	return cmd
}

func (h *history) started(s Schedule) StartRun {
	start := StartRun{Thread: s.Thread, Run: h.newRun(), Message: &Message{ID: MessageID(h.id("msg"))}}
	if s.Thread == "" {
		start.Create = &Thread{ID: ThreadID(h.id("thread")), Account: s.Account, Environment: s.Environment}
	}
	if h.chance(70, "reserves") {
		start.Reserve = &Reservation{ID: ReservationID(h.id("resv")), Amount: h.amount()}
	}
	return start
}

func (h *history) trigger(NodeID) Command {
	s := h.anySchedule()
	return TriggerSchedule{Account: s.Account, Schedule: s.ID, Start: h.started(s)}
}

func (h *history) sweep(NodeID) Command { return Sweep{} }

func (h *history) limits(NodeID) Command {
	return SetLimits{Account: pick(h, "account", acct, other), SetMonthly: true, Monthly: pick(h, "monthly", nil, ptr(h.amount()*10))}
}

// Whatever was proposed, sent again and lost, everything still adds up.
func TestHistoriesAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(rt)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			h.step()
			h.check()
		}
	})
}

// A replica that stops at any entry and is given the log again from any earlier
// one ends equal to the byte to one that never stopped.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(rt)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			h.step()
		}
		replica, saved := statetest.New(), statetest.New()
		for at := 0; at < len(h.log); {
			if _, err := Apply(replica, uint64(at+1), h.log[at]); err != nil {
				rt.Fatalf("apply %d again: %v", at+1, err)
			}
			at++
			if rapid.IntRange(0, 9).Draw(rt, "saves") == 0 {
				saved = replica.Clone()
			}
			if rapid.IntRange(0, 9).Draw(rt, "crashes") == 0 {
				replica = saved.Clone()
				kept, _ := AppliedIndex(replica)
				at = rapid.IntRange(0, int(kept)).Draw(rt, "replays from")
			}
		}
		if diff := h.store.Diff(replica); diff != "" {
			rt.Fatal(diff)
		}
	})
}
