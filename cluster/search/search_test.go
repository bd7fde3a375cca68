package search

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Build the REST-API, v2!": "build the rest api v2",
		"Crème BRÛLÉE naïve":      "creme brulee naive",
		"cre\u0300me":             "creme",
		"ﬁle № 5":                 "file 5",
		"部署 server":               "部 署 server",
		"straße":                  "straße",
		"":                        "", "— … !": "",
		strings.Repeat("x", 65) + " ok": "ok",
		"a\xffb":                        "a b",
	} {
		var got []string
		words(text, func(w word) bool { got = append(got, w.term); return true })
		if strings.Join(got, " ") != want {
			t.Errorf("%q has the words %q, want %q", text, got, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Crème 部署 cre\u0300me \xff")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		words(text, func(w word) bool {
			if w.from < last || w.to <= w.from || w.to > len(text) || w.term == "" || strings.ContainsRune(w.term, 0) {
				t.Fatalf("%q at %d to %d of %q", w.term, w.from, w.to, text)
			}
			last = w.to
			return true
		})
		Snippet(text, termsOf(text, 3))
	})
}

func TestSnippets(t *testing.T) {
	long := strings.Repeat("before it ", 30) + "then the Deploy failed" + strings.Repeat(" after that", 30)
	for text, want := range map[string]string{
		"The deployment\nfailed": "The **deployment** **failed**",
		"nothing":                "",
		long:                     "…it before it before it before it then the **Deploy** **failed**" + strings.Repeat(" after that", 9) + " …",
	} {
		if got, _ := Snippet(text, []string{"deploy", "failed"}); got != want {
			t.Errorf("snippet %q, want %q", got, want)
		}
	}
	places, _ := Matches([]string{"one", "two one", "none", "one two"}, []string{"one", "two"}, 2)
	if !slices.Equal(places, []int{1, 3}) {
		t.Errorf("the best matches are %v", places)
	}
}

// said is a world of threads, as records have them.
type said map[state.ThreadID]*spoken

type spoken struct {
	thread   state.Thread
	messages []state.Message
}

func (s *spoken) after(n int) ([]state.Message, error) { return s.messages[n:], nil }

func put(t rapid.TB, m *statetest.Memory, s *spoken) {
	if err := Put(m, s.thread, s.after); err != nil {
		t.Fatal(err)
	}
	if late, err := Behind(m, s.thread); late || err != nil {
		t.Fatalf("behind after a put: %v, %v", late, err)
	}
}

func dump(t rapid.TB, m *statetest.Memory) map[string]string {
	all := map[string]string{}
	err := m.Scan([]byte{0}, []byte{0xff}, false, func(k, v []byte) bool { all[string(k)] = string(v); return true })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var vocabulary = []string{"deploy", "deployed", "failed", "test", "café", "Tests", "index"}

// However threads came into the index, in whatever pieces, it holds the same,
// and finds those that have the words.
func TestTheIndexIsWhatWasSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, world := statetest.New(), said{}
		if err := Prepare(m); err != nil {
			t.Fatal(err)
		}
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, 6).Draw(t, "words"), " ")
		})
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := state.ThreadID(rapid.SampledFrom([]string{"t1", "t2", "t3", "t4"}).Draw(t, "thread"))
			s := world[id]
			if s == nil {
				s = &spoken{thread: state.Thread{ID: id, Account: state.AccountID("acct_" + string(id[1]%2+'a')), Status: state.ThreadActive, CreatedAt: time.Unix(int64(i), 0)}}
				world[id] = s
			}
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				s.thread.Title = text.Draw(t, "title")
			case 1:
				s.thread.Status = state.ThreadCompleted
			case 2:
				s.thread.Deleted = true
				put(t, m, s)
				delete(world, id)
				continue
			default:
				s.messages = append(s.messages, state.Message{Content: text.Draw(t, "message")})
				s.thread.Messages++
			}
			if rapid.Bool().Draw(t, "now") {
				put(t, m, s)
			}
		}
		anew := statetest.New()
		if err := Prepare(anew); err != nil {
			t.Fatal(err)
		}
		for _, id := range slices.Sorted(maps.Keys(world)) {
			put(t, m, world[id])
			put(t, anew, world[id])
		}
		got, want := dump(t, m), dump(t, anew)
		for _, account := range []string{"acct_a", "acct_b"} { // an account without threads may have a tally of none
			if _, ok := want[string(key('a', account))]; !ok {
				delete(got, string(key('a', account)))
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("the index holds\n%q, made anew\n%q", got, want)
		}
		finds(t, m, world, text.Draw(t, "query"))
	})
}

// finds compares a query with a look at every thread.
func finds(t *rapid.T, m *statetest.Memory, world said, query string) {
	terms := termsOf(query, maxQueryTerms)
	want := map[int][]string{} // by how many of the words
	for id, s := range world {
		if s.thread.Account != "acct_a" {
			continue
		}
		all := s.thread.Title
		for _, m := range s.messages {
			all += " " + m.Content
		}
		if _, n := Snippet(all, terms); n > 0 || len(terms) == 0 {
			has := 0
			for _, term := range terms {
				if _, one := Snippet(all, []string{term}); one > 0 {
					has++
				}
			}
			want[has] = append(want[has], string(id))
		}
	}
	res, err := Find(m, Query{Account: "acct_a", Text: query, Page: state.Page{Limit: 10}})
	if err != nil {
		t.Fatal(err)
	}
	var expect, got []string
	if len(terms) > 0 {
		expect = want[len(terms)]
		if len(expect) == 0 {
			expect = slices.Concat(slices.Collect(maps.Values(want))...)
		}
	}
	last := 0.0
	for i, h := range res.Hits {
		got = append(got, string(h.Thread))
		if h.Score <= 0 || i > 0 && h.Score > last {
			t.Fatalf("scores are out of order: %+v", res.Hits)
		}
		last = h.Score
	}
	slices.Sort(got)
	slices.Sort(expect)
	if !slices.Equal(got, expect) || res.Total != len(expect) {
		t.Fatalf("%q finds %v of %d, want %v", query, got, res.Total, expect)
	}
}

func TestRankingAndFilters(t *testing.T) {
	m := statetest.New()
	if err := Prepare(m); err != nil {
		t.Fatal(err)
	}
	for i, s := range []struct{ title, text, env, status string }{
		{"", "the index of a book", "env_1", "active"},
		{"", "index index index of the log", "env_1", "completed"},
		{"Index", "another thing", "env_2", "active"},
		{"", "a long text that speaks of many things, and once of the index, among all of them here", "env_2", "failed"},
		{"", "nothing of it", "env_1", "active"},
	} {
		put(t, m, &spoken{thread: state.Thread{ID: state.ThreadID(fmt.Sprint("t", i)), Account: "a", Title: s.title, Environment: state.EnvironmentID(s.env),
			Status: state.ThreadStatus(s.status), Messages: 1, CreatedAt: time.Unix(1, 0)}, messages: []state.Message{{Content: s.text}}})
	}
	for name, tt := range map[string]struct {
		q    Query
		want string
		any  bool
	}{
		"often, short and in titles first": {Query{Text: "index"}, "t2 t1 t0 t3", false},
		"a prefix":                         {Query{Text: "ind"}, "t2 t1 t0 t3", false},
		"two letters are no prefix":        {Query{Text: "in"}, "", false},
		"all of the words":                 {Query{Text: "INDEX book"}, "t0", false},
		"some where none has all":          {Query{Text: "book nothing"}, "t4 t0", true},
		"an environment":                   {Query{Text: "index", Environment: "env_2"}, "t2 t3", false},
		"a status":                         {Query{Text: "index", Status: "completed"}, "t1", false},
		"another account":                  {Query{Text: "index", Account: "b"}, "", false},
		"no words":                         {Query{Text: "— !"}, "", false},
		"a page":                           {Query{Text: "index", Page: state.Page{Limit: 2, Offset: 1}}, "t1 t0", false},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.q.Account == "" {
				tt.q.Account = "a"
			}
			if tt.q.Page.Limit == 0 {
				tt.q.Page.Limit = 10
			}
			res, err := Find(m, tt.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range res.Hits {
				got = append(got, string(h.Thread))
			}
			if strings.Join(got, " ") != tt.want || res.Any != tt.any {
				t.Errorf("found %v, any %v; want %s, %v", got, res.Any, tt.want, tt.any)
			}
		})
	}
}
