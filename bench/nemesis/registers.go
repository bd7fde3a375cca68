package nemesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	registerClients = 4
	registerPace    = 250 * time.Millisecond
	// registerLife is how long one agent is written to: porcupine judges agent by
	// agent, and each write whose end nobody knows makes that harder.
	registerLife = 20 * time.Second
	// registerPatience is how long a call may take: a write that takes longer may
	// come at any time.
	registerPatience = 5 * time.Second
)

// registers are agents whose instructions are numbers. Each call goes to one node
// and is sent once, as a client that repeated a write could not be judged.
type registers struct {
	p     *game
	begun time.Time

	mu    sync.Mutex
	agent string
	ops   []porcupine.Operation
	keys  int
}

func newRegisters(p *game) *registers { return &registers{p: p, begun: time.Now()} }

type registerInput struct {
	agent string
	write bool
	value int64
}

var model = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range ops {
			by[op.Input.(registerInput).agent] = append(by[op.Input.(registerInput).agent], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range by {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(st, input, output any) (bool, any) {
		in := input.(registerInput)
		if in.write {
			return true, in.value
		}
		return output.(int64) == st.(int64), st
	},
	DescribeOperation: func(input, output any) string {
		in := input.(registerInput)
		if in.write {
			return fmt.Sprintf("set %s to %d", in.agent, in.value)
		}
		return fmt.Sprintf("get %s = %v", in.agent, output)
	},
}

func (r *registers) work(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { r.turnOver(ctx) })
	for i := range registerClients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(r.p.Seed, uint64(i)+1))
			for n := int64(1); sleep(ctx, registerPace) == nil; n++ {
				r.mu.Lock()
				agent := r.agent
				r.mu.Unlock()
				if agent == "" {
					continue
				}
				node := random.IntN(len(r.p.house.Nodes))
				if random.IntN(2) == 0 {
					r.write(i, node, agent, n*registerClients+int64(i))
				} else {
					r.read(i, node, agent)
				}
			}
		})
	}
	all.Wait()
}

// turnOver makes a new agent from time to time.
func (r *registers) turnOver(ctx context.Context) {
	for ; ctx.Err() == nil; _ = sleep(ctx, registerLife) {
		made, err := r.p.through(0).Agents().Create(ctx, wire.WriteAgent{Name: wire.Some("register"), Model: wire.Some("script"), Instructions: wire.Some("0")})
		if err == nil {
			r.mu.Lock()
			r.agent, r.keys = made.ID, r.keys+1
			r.mu.Unlock()
		}
	}
}

func (r *registers) now() int64 { return int64(time.Since(r.begun)) }

// errRefused is an answer that says for certain that nothing was done.
var errRefused = errors.New("refused")

func (r *registers) call(method string, node int, agent string, body, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), registerPatience)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, r.p.house.Nodes[node].URL+"/v1/agents/"+agent, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.p.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.p.house.HTTP().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.Header.Get("X-Bothy-Stale") != "":
		return errors.New("an older answer, and marked so")
	case resp.StatusCode != http.StatusOK && !bytes.Contains(b, []byte(cluster.CodeUnclear)):
		return errRefused
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	}
	return json.Unmarshal(b, into)
}

func (r *registers) write(by, node int, agent string, value int64) {
	at := r.now()
	var done any
	err := r.call(http.MethodPatch, node, agent, map[string]string{"instructions": strconv.FormatInt(value, 10)}, &done)
	if errors.Is(err, errRefused) {
		return
	}
	end := r.now()
	if err != nil {
		end = math.MaxInt64
	}
	r.note(by, registerInput{agent, true, value}, at, 0, end)
}

func (r *registers) read(by, node int, agent string) {
	at := r.now()
	var got wire.OneAgent
	if err := r.call(http.MethodGet, node, agent, nil, &got); err != nil {
		return // a read that fails says nothing
	}
	value := int64(-1) // what nobody wrote
	if text := got.Agent.Instructions; text != nil {
		if n, err := strconv.ParseInt(*text, 10, 64); err == nil {
			value = n
		}
	}
	r.note(by, registerInput{agent: agent}, at, value, r.now())
}

func (r *registers) note(by int, in registerInput, call, out, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: by, Input: in, Call: call, Output: out, Return: end})
}

func (r *registers) judge(context.Context) (string, error) {
	read := map[registerInput]bool{}
	for _, op := range r.ops {
		if in := op.Input.(registerInput); !in.write {
			read[registerInput{in.agent, true, op.Output.(int64)}] = true
		}
	}
	writes, unclear := 0, 0
	var history []porcupine.Operation
	for _, op := range r.ops {
		in := op.Input.(registerInput)
		if in.write {
			writes++
		}
		if in.write && op.Return == math.MaxInt64 {
			unclear++
			if !read[in] {
				continue // it fits in after all others
			}
		}
		history = append(history, op)
	}
	reads := len(r.ops) - writes
	verdict := porcupine.CheckOperationsTimeout(model, history, time.Minute)
	seen := fmt.Sprintf("%d reads and %d writes of %d agents, of %d nobody knows the end: linearizable: %s", reads, writes, r.keys, unclear, verdict)
	if verdict != porcupine.Ok {
		return seen, fmt.Errorf("the history is %s, not linearizable", verdict)
	}
	if reads < 20 || writes < 20 {
		return seen, errors.New("too little was done to say anything")
	}
	return seen, nil
}
