package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// drill is a cluster that is lost, with what its people have afterwards: a file,
// the key to it, and the blob store.
type drill struct {
	t             *testing.T
	saves         string // the blob store
	file, keyFile string
	config        string // of the nodes, before and after

	admin, tenant string           // keys of before
	plain         wire.Environment // the tenant's, of the nodes' own image
	imaged        wire.Environment // the tenant's, of an image that was built
	broken        string           // the tenant's computer of which a piece is missing
	unique        string           // digest of its file
	missing       string           // the piece's path in the blob store
	piece         []byte
	thread        string // the admin's, whose run was under way
	schedule      wire.Schedule
	budget        wire.Budget // the tenant's
}

const (
	treasure = "of great value"
	// uniqueBytes is a file that no other computer has.
	uniqueBytes = 100_000
)

// TestAClusterComesBackFromItsBackup loses every node of a cluster and makes
// another one of the backup and the blob store alone.
func TestAClusterComesBackFromItsBackup(t *testing.T) {
	t.Parallel()
	beside := t.TempDir()
	d := &drill{t: t, saves: scratchDir(t), file: filepath.Join(beside, "cluster.backup"), keyFile: filepath.Join(beside, "backup.key")}
	d.config = "blob: {directory: " + d.saves + "}\n"
	lost := launchWith(t, d.config, "n1")[0]
	d.lives(lost)
	d.backup(lost)
	d.loses(lost)

	root := scratchDir(t)
	reborn := newProcess(t, root, "r1")
	if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(smallNodes+d.config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.refusals(reborn)
	d.restores(reborn)
	reborn.start("")
	reborn.ready()
	second := newProcess(t, root, "r2")
	second.founder = reborn
	if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(smallNodes+d.config), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := askToken(t.Context(), reborn.url, reborn.dir)
	if err != nil {
		t.Fatal(err)
	}
	second.start(token)
	second.ready()
	d.goesOn(reborn, second)
	if out, code := d.bothy("restore", d.file, "--key", d.keyFile, "--data-dir", reborn.dir); code == 0 || !strings.Contains(out, "is not empty") {
		t.Errorf("a restore over a node that runs: exit %d, %s", code, out)
	}
}

// bothy runs a command on this machine, and gives all that it says.
func (d *drill) bothy(args ...string) (out string, code int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = childEnv(os.Environ(), "")
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// as calls nodes with a key.
func (d *drill) as(key string, nodes ...*process) *client.Client {
	d.t.Helper()
	var urls []string
	for _, p := range nodes {
		urls = append(urls, p.url)
	}
	c, err := client.New(urls, key)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// lives does what people do with a cluster.
func (d *drill) lives(n *process) {
	t := d.t
	t.Helper()
	d.admin, d.tenant = n.key(), newTenant(t, n, "acme")
	c := d.as(d.tenant, n)
	var err error
	d.imaged = environmentWith(t, c, "imaged", "RUN mkdir /opt/tool && echo made > /opt/tool/version")
	if d.plain, err = c.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("plain"),
		Secrets: wire.Some([]wire.KeyValue{{Key: "TREASURE", Value: treasure}})}); err != nil {
		t.Fatal(err)
	}
	if s := built(t, c, d.imaged.ID); s.BuildStatus != "ready" {
		t.Fatalf("%+v", s)
	}
	d.runs(c, d.imaged, "cat /opt/tool/version | tee /workspace/version", "made")
	d.runs(c, d.plain, lay, "\nlaid")
	if d.schedule, err = c.Schedules().Create(t.Context(), wire.WriteSchedule{Name: wire.Some("yearly"), EnvironmentID: wire.Some(d.plain.ID),
		Task: wire.Some("```bash\necho on time\n```"), CronExpression: wire.Some("0 0 1 1 *")}); err != nil {
		t.Fatal(err)
	}
	p := &product{t: t, nodes: []*process{n}, key: d.tenant}
	d.broken = p.computer(p.call("POST", "/v1/computers", `{"handle":"broken"}`, 202)).text("id")
	out := p.call("POST", "/v1/computers/broken/exec", quoted(fmt.Sprintf("head -c %d /dev/urandom > /workspace/unique; sha256sum /workspace/unique", uniqueBytes)), 200)
	d.unique, _, _ = strings.Cut(out.text("stdout"), " ")
	for _, computer := range []string{d.imaged.ComputerID, d.plain.ComputerID, d.broken} {
		p.rests(computer)
	}
	d.breaks()
	if d.budget = d.bill(c); d.budget.TotalSpent == 0 {
		t.Fatal("nothing was spent, so the bill shows nothing")
	}
	run := watch(t, d.as(d.admin, n), client.Message{Content: "```bash\necho under way\n```\n```bash\nsleep 600\n```"})
	run.saw(t, "a run is under way", completed("under way"))
	d.thread = run.saw(t, "its thread", func(e client.Event) bool { return e.Thread != nil }).Thread.ID
}

// runs has an environment do something, and checks what it says.
func (d *drill) runs(c *client.Client, in wire.Environment, script, says string) {
	d.t.Helper()
	run := watch(d.t, c, client.Message{Environment: in.ID, Content: "```bash\n" + script + "\n```"})
	run.ended(d.t)
	if run.result.Run.Status != "success" {
		d.t.Fatalf("the run ended as %+v", run.result.Run)
	}
	run.saw(d.t, says, completed(says))
}

// rests stops a computer and waits until all of it is saved.
func (p *product) rests(computer string) {
	p.t.Helper()
	p.computer(p.call("POST", "/v1/computers/"+computer+"/actions/stop", "", 202))
	eventually(p.t, "the computer is saved", startTime, func() error {
		if c := p.call("GET", "/v1/computers/"+computer, "", 200).in(p.t, "computer"); c["saved_whole"] != true {
			return fmt.Errorf("%v, %v", c["saved_at"], c["save_failure_reason"])
		}
		return nil
	})
}

// breaks takes the largest piece of the broken computer's save away.
func (d *drill) breaks() {
	d.t.Helper()
	err := fs.WalkDir(os.DirFS(d.saves), "computers/"+d.broken+"/pieces", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(d.saves, path))
		if len(text) > len(d.piece) {
			d.missing, d.piece = path, text
		}
		return err
	})
	if err == nil {
		err = os.Remove(filepath.Join(d.saves, d.missing))
	}
	if err != nil || len(d.piece) < uniqueBytes {
		d.t.Fatalf("the largest piece is %q of %d bytes: %v", d.missing, len(d.piece), err)
	}
}

// bill is the tenant's budget, which the lines of the bill add up to.
func (d *drill) bill(c *client.Client) wire.Budget {
	d.t.Helper()
	b, err := c.Budget().Get(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	records, err := c.Billing().Records(d.t.Context(), client.Span{}, "", client.Page{Limit: 100})
	if err != nil {
		d.t.Fatal(err)
	}
	spent := wire.USD(0)
	for _, r := range records.Data {
		spent += r.Amount
	}
	if b.TotalSpent != spent || b.Balance != startBalance-spent || b.Reserved != 0 {
		d.t.Errorf("the budget is %+v, and the lines of the bill add up to %d", b, spent)
	}
	return b
}

// backup takes one on the command line, while a run is under way.
func (d *drill) backup(n *process) {
	d.t.Helper()
	recipient, code := d.bothy("backup", "keygen", d.keyFile, "-o", "table")
	if code != 0 {
		d.t.Fatalf("exit %d: %s", code, recipient)
	}
	if out, code := n.bothy("backup", d.file, "--recipient", strings.TrimSpace(recipient)); code != 0 {
		d.t.Fatalf("exit %d: %s", code, out)
	}
	for _, secret := range []string{treasure, d.tenant, d.admin, "drilled"} {
		if text, err := os.ReadFile(d.file); err != nil || bytes.Contains(text, []byte(secret)) {
			d.t.Fatalf("the backup tells %q: %v", secret, err)
		}
	}
}

// loses ends the node for ever.
func (d *drill) loses(n *process) {
	d.t.Helper()
	n.kill()
	if out, code := d.bothy("wipe", "--data-dir", n.dir, "--yes"); code != 0 {
		d.t.Fatalf("exit %d: %s", code, out)
	}
}

// refusals tries files and keys that nothing may be made of.
func (d *drill) refusals(n *process) {
	t := d.t
	t.Helper()
	whole, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	other, _, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	beside := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(beside, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, try := range map[string]struct{ file, key, word string }{
		"a byte flipped":   {write("flipped", flipped), d.keyFile, "corrupted"},
		"cut short":        {write("short", whole[:len(whole)-1000]), d.keyFile, "corrupted"},
		"another's key":    {d.file, write("other", []byte(other)), "other keys"},
		"a file of no key": {d.file, d.file, "backup key"},
	} {
		out, code := d.bothy("restore", try.file, "--key", try.key, "--data-dir", n.dir)
		if code != exitFailed || !strings.Contains(out, try.word) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
		if left, err := filepath.Glob(n.dir + "*"); err != nil || len(left) > 0 {
			t.Errorf("%s left %v %v", name, left, err)
		}
	}
}

// restores makes the new cluster's first node.
func (d *drill) restores(n *process) {
	d.t.Helper()
	out, code := d.bothy("restore", d.file, "--key", d.keyFile, "--data-dir", n.dir, "--id", n.name, "-o", "json")
	var done restored
	if err := json.Unmarshal([]byte(out), &done); err != nil || code != 0 {
		d.t.Fatalf("exit %d: %s: %v", code, out, err)
	}
	if done.Dir != n.dir || done.Computers < 3 || done.Saved < 2 {
		d.t.Errorf("%+v", done)
	}
}

// goesOn checks what there is again.
func (d *drill) goesOn(nodes ...*process) {
	t := d.t
	t.Helper()
	admin, tenant := d.as(d.admin, nodes...), d.as(d.tenant, nodes...)
	if _, err := d.as(nodes[0].key(), nodes...).Accounts().List(t.Context(), client.Page{}); err != nil {
		t.Errorf("the key of whoever restored: %v", err)
	}
	if b := d.bill(tenant); b.TotalSpent != d.budget.TotalSpent || b.Balance != d.budget.Balance {
		t.Errorf("the budget is %+v and was %+v", b, d.budget)
	}
	why := ""
	if err := admin.Follow(t.Context(), d.thread, 0, func(e client.Event) error {
		if e.Run != nil && e.Run.Status == "cancelled" {
			why = e.Run.Error
			return client.ErrStop
		}
		return nil
	}); err != nil || !strings.Contains(why, "restored from a backup") {
		t.Errorf("the run that was under way ended because of %q, %v", why, err)
	}
	d.runs(tenant, d.plain, toTheByte+" && test \"$TREASURE\" = '"+treasure+"' && echo as it was", "as it was")
	s, err := tenant.Schedules().Get(t.Context(), d.schedule.ID)
	if err != nil || !s.Enabled || s.NextRunAt == nil || *s.NextRunAt != *d.schedule.NextRunAt {
		t.Errorf("the schedule is %+v, %v", s, err)
	}
	p := &product{t: t, nodes: nodes, key: d.tenant}
	d.mends(p)
	d.buildsAnew(p, tenant)
}

// mends has the broken computer back when its piece is.
func (d *drill) mends(p *product) {
	d.t.Helper()
	if why, started := p.starts(d.broken); started || !strings.Contains(why, d.broken) || !strings.Contains(why, d.missing) || !strings.Contains(why, "is gone") {
		d.t.Errorf("a computer of which a piece is missing: %s", why)
	}
	if err := os.WriteFile(filepath.Join(d.saves, d.missing), d.piece, 0o600); err != nil {
		d.t.Fatal(err)
	}
	p.computer(p.call("POST", "/v1/computers/"+d.broken+"/actions/start", "", 202))
	out := p.call("POST", "/v1/computers/"+d.broken+"/exec", quoted("sha256sum /workspace/unique"), 200)
	if !strings.HasPrefix(out.text("stdout"), d.unique) {
		d.t.Errorf("its file is %v and was %s", out, d.unique)
	}
}

// buildsAnew uses an environment's image, which no node has any more: it is built
// again because its computer asks for it.
func (d *drill) buildsAnew(p *product, c *client.Client) {
	d.t.Helper()
	eventually(d.t, "the computer starts over an image made anew", buildTime, func() error {
		why, started := p.starts(d.imaged.ComputerID)
		if !started && !strings.Contains(why, "environment "+d.imaged.ID+" is built again") {
			d.t.Fatal(why)
		}
		if !started {
			return errors.New(why)
		}
		return nil
	})
	d.runs(c, d.imaged, "cat /workspace/version /opt/tool/version | uniq -c", "2 made")
}

// starts starts a computer, and says why if that fails.
func (p *product) starts(computer string) (why string, started bool) {
	p.t.Helper()
	op := p.call("POST", "/v1/computers/"+computer+"/actions/start", "", 202).in(p.t, "operation").text("id")
	eventually(p.t, "the start ends", startTime, func() error {
		reply := p.call("GET", "/v1/operations/"+op, "", 200).in(p.t, "operation")
		why, started = reply.text("error_message"), reply.text("status") == "succeeded"
		if !started && reply.text("status") != "failed" {
			return fmt.Errorf("%v", reply)
		}
		return nil
	})
	return why, started
}
