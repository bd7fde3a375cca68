package computeragents

import (
	"cmp"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxCostedThreads bounds the threads that are put in order by what they cost:
// the newest.
const maxCostedThreads = 10_000

// ordersOfThreads are what threads can be ordered by. What computers cost is no
// thread's alone.
var ordersOfThreads = map[string]func(a, b state.Thread) int{
	"totalCost":       func(a, b state.Thread) int { return cmp.Compare(a.Cost, b.Cost) },
	"agentCost":       func(a, b state.Thread) int { return cmp.Compare(a.Cost, b.Cost) },
	"environmentCost": func(_, _ state.Thread) int { return 0 },
	"createdAt":       func(a, b state.Thread) int { return a.CreatedAt.Compare(b.CreatedAt) },
	"duration":        func(a, b state.Thread) int { return cmp.Compare(lasted(a), lasted(b)) },
}

func lasted(t state.Thread) time.Duration { return t.UpdatedAt.Sub(t.CreatedAt) }

// threadOrder reads how threads are to be ordered: by default the dearest first,
// and the newer first among equals.
func threadOrder(c *gin.Context) (func(a, b state.Thread) int, error) {
	by, known := ordersOfThreads[c.DefaultQuery("sortBy", "totalCost")]
	if !known {
		return nil, invalid("sortBy", "sortBy must be totalCost, agentCost, environmentCost, createdAt or duration")
	}
	sign := -1
	switch c.DefaultQuery("order", "desc") {
	case "asc":
		sign = 1
	case "desc":
	default:
		return nil, invalid("order", "order must be asc or desc")
	}
	return func(a, b state.Thread) int { return cmp.Or(sign*by(a, b), b.CreatedAt.Compare(a.CreatedAt)) }, nil
}

// threadCosts serves GET /costs/threads.
func (a *API) threadCosts(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	order, err := threadOrder(c)
	if err != nil {
		return err
	}
	s, err := a.span(c, "all")
	if err != nil {
		return err
	}
	filter, err := threadFilter(c)
	if err != nil {
		return err
	}
	var found []state.Thread
	err = a.LookAll(c, func(v *state.View) error {
		list, err := v.Threads(door.CallerOf(c).Account, filter, state.Page{Limit: maxCostedThreads})
		found = slices.DeleteFunc(list.Items, func(t state.Thread) bool { return !s.holds(t.CreatedAt) })
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, order)
	reply := wire.ThreadCosts{}
	for _, t := range found {
		reply.Stats.TotalCost += wire.USD(t.Cost)
	}
	reply.Stats.AgentCost, reply.Stats.TotalThreads = reply.Stats.TotalCost, len(found)
	from := min(page.Offset, len(found))
	shown := state.List[state.Thread]{Items: found[from:min(from+page.Limit, len(found))], Total: len(found)}
	reply.List = listOf(shown, page, threadOf)
	a.ok(c, reply)
	return nil
}
