package computeragents

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/search"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Search finds threads by what was said in them.
type Search interface {
	Threads(context.Context, actors.Caller, actors.SearchQuery) (actors.Found, error)
}

// defaultFound is how many threads a search gives unless it says more.
const defaultFound = 20

// searchThreads serves POST /threads/search.
func (a *API) searchThreads(c *gin.Context) error {
	var req wire.SearchThreads
	if err := a.Read(c, &req); err != nil {
		return err
	}
	q, err := searchQuery(req)
	if err != nil {
		return err
	}
	begun := a.Now()
	found, err := a.Search.Threads(c.Request.Context(), door.CallerOf(c), q)
	if err != nil {
		return err
	}
	reply := wire.FoundThreads{Object: "list", Results: []wire.FoundThread{}, Total: found.Total, TotalCount: found.Total,
		HasMore: q.Page.Offset+q.Page.Limit < found.Total, SearchMetadata: wire.SearchMetadata{Query: req.Query, QueryType: "all_words",
			ProcessingTimeMS: a.Now().Sub(begun).Milliseconds(), Truncated: found.Cut}}
	if found.Any {
		reply.SearchMetadata.QueryType = "any_word"
	}
	for _, f := range found.Threads {
		one := wire.FoundThread{Thread: threadOf(f.Thread), Score: f.Score, Highlights: f.Highlights}
		for _, m := range f.Messages {
			one.MatchingMessages = append(one.MatchingMessages, messageOf(m))
		}
		reply.Results = append(reply.Results, one)
	}
	reply.Data, reply.HasMoreSnake = reply.Results, reply.HasMore
	a.ok(c, reply)
	return nil
}

func searchQuery(req wire.SearchThreads) (q actors.SearchQuery, err error) {
	q = actors.SearchQuery{Text: req.Query, Environment: state.EnvironmentID(req.EnvironmentID), Messages: req.IncludeMessages,
		Page: state.Page{Limit: defaultFound, Offset: req.Offset}}
	switch {
	case strings.TrimSpace(req.Query) == "":
		return q, invalid("query", "Missing required field: query")
	case len(req.Query) > search.MaxQueryBytes || !utf8.ValidString(req.Query):
		return q, invalid("query", "query must be at most %d bytes of text", search.MaxQueryBytes)
	case req.Offset < 0 || req.Offset > door.MaxOffset:
		return q, invalid("offset", "offset must be a whole number from 0 to %d", door.MaxOffset)
	}
	if req.Limit != nil {
		if q.Page.Limit = *req.Limit; q.Page.Limit < 1 || q.Page.Limit > door.MaxLimit {
			return q, invalid("limit", "limit must be a whole number from 1 to %d", door.MaxLimit)
		}
	}
	if err := identifier("environmentId", req.EnvironmentID); err != nil {
		return q, err
	}
	if req.Status != "" && req.Status != "all" {
		q.Status, err = threadStatus(req.Status)
	}
	return q, err
}
