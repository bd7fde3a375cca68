package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestSearch(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	search := func(body map[string]any) wire.FoundThreads {
		t.Helper()
		var found wire.FoundThreads
		c.do("POST", "/threads/search", body).is(200).into(&found)
		return found
	}
	if found := search(map[string]any{"query": "REST", "limit": 10, "includeMessages": true}); found.Total != 0 || found.Results == nil || found.HasMore {
		t.Errorf("before anything was said: %+v", found)
	}
	var ids []string
	for i := range 3 {
		ids = append(ids, run(c, fmt.Sprintf("Create a REST API number %d", i)).Thread.ID)
	}
	run(c, "something else")
	// What was acknowledged is found at once.
	found := search(map[string]any{"query": "rest api", "limit": 2, "includeMessages": true})
	if found.Total != 3 || len(found.Results) != 2 || !found.HasMore || found.SearchMetadata.Query != "rest api" || found.SearchMetadata.QueryType != "all_words" {
		t.Fatalf("%+v", found)
	}
	one := found.Results[0]
	if one.Score <= 0 || len(one.Highlights) == 0 || !strings.Contains(strings.Join(one.Highlights, " "), "**REST** **API**") ||
		len(one.MatchingMessages) == 0 || one.MatchingMessages[0].ThreadID != one.Thread.ID {
		t.Errorf("%+v", one)
	}
	if found := search(map[string]any{"query": "rest api", "limit": 2, "offset": 2}); len(found.Results) != 1 || found.HasMore || found.Results[0].MatchingMessages != nil {
		t.Errorf("the last page: %+v", found)
	}
	c.do("PATCH", "/threads/"+ids[1], `{"title":"Quarterly accounts"}`).is(200)
	if found := search(map[string]any{"query": "quarterly"}); found.Total != 1 || found.Results[0].Thread.ID != ids[1] {
		t.Errorf("by its title: %+v", found)
	}
	c.do("DELETE", "/threads/"+ids[1], nil).is(200)
	if found := search(map[string]any{"query": "quarterly"}); found.Total != 0 {
		t.Errorf("a deleted thread: %+v", found)
	}
	if found := search(map[string]any{"query": "rest", "status": "failed"}); found.Total != 0 {
		t.Errorf("failed ones: %+v", found)
	}
	if found := search(map[string]any{"query": "rest", "status": "completed", "environmentId": one.Thread.EnvironmentID}); found.Total != 2 {
		t.Errorf("completed ones: %+v", found)
	}
	_, stranger := h.NewAccount("other", 1_000_000)
	var none wire.FoundThreads
	as(t, h, stranger).do("POST", "/v1/threads/search", map[string]any{"query": "rest"}).is(200).into(&none)
	if none.Total != 0 {
		t.Errorf("another account finds %+v", none)
	}
	for name, body := range map[string]any{
		"query": map[string]any{"query": " "}, "at most 1024 bytes": map[string]any{"query": strings.Repeat("x", 1025)},
		"limit": map[string]any{"query": "x", "limit": 101}, "offset": map[string]any{"query": "x", "offset": -1},
		"status": map[string]any{"query": "x", "status": "odd"}, "environmentId": map[string]any{"query": "x", "environmentId": "/"},
	} {
		c.do("POST", "/threads/search", body).refused(400, name)
	}
}
