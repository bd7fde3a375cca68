package statetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMemoryIsASortedMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, model := New(), map[string]string{}
		key := rapid.StringMatching(`[a-c]{0,6}`)
		for range rapid.IntRange(0, 1200).Draw(rt, "steps") {
			k, to := key.Draw(rt, "key"), key.Draw(rt, "to")
			switch rapid.IntRange(0, 20).Draw(rt, "do") {
			case 0:
				m.DeleteRange([]byte(k), []byte(to))
				maps.DeleteFunc(model, func(x, _ string) bool { return x >= k && x < to })
			case 1, 2, 3:
				m.Delete([]byte(k))
				delete(model, k)
			default:
				m.Set([]byte(k), []byte(to))
				model[k] = to
			}
		}
		from, to, reverse := key.Draw(rt, "from"), key.Draw(rt, "to"), rapid.Bool().Draw(rt, "reverse")
		var got, want []string
		m.Scan([]byte(from), []byte(to), reverse, func(k, v []byte) bool { got = append(got, string(k)+"="+string(v)); return true })
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if v, _ := m.Get([]byte(k)); string(v) != model[k] {
				rt.Fatalf("get %q: %q; want %q", k, v, model[k])
			}
			if k >= from && k < to {
				want = append(want, k+"="+model[k])
			}
		}
		if reverse {
			slices.Reverse(want)
		}
		if m.Len() != len(model) || fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("%d keys, scan %q; want %d, %q", m.Len(), got, len(model), want)
		}
	})
}

func TestLoansEnd(t *testing.T) {
	m := New()
	m.Set([]byte("a"), []byte("value"))
	loan, _ := m.Get([]byte("a"))
	m.Get([]byte("b"))
	if string(loan) == "value" {
		t.Fatal("a kept loan still reads well")
	}
	m.Scan([]byte("a"), []byte("b"), false, func(k, v []byte) bool {
		if string(k)+string(v) != "avalue" {
			t.Fatalf("visited %q, %q", k, v)
		}
		m.Get([]byte("a"))
		if string(k) == "a" || string(v) == "value" {
			t.Fatal("a loan outlives the next call inside a scan")
		}
		return true
	})
}

func TestCloneAndDiff(t *testing.T) {
	m := New()
	m.Set([]byte("a"), []byte("1"))
	c := m.Clone()
	if diff := m.Diff(c); diff != "" {
		t.Fatal(diff)
	}
	for name, change := range map[string]func(*Memory){
		"a value":  func(m *Memory) { m.Set([]byte("a"), []byte("2")) },
		"a key":    func(m *Memory) { m.Set([]byte("b"), nil) },
		"no value": func(m *Memory) { m.Delete([]byte("a")) },
	} {
		changed := m.Clone()
		change(changed)
		if m.Diff(changed) == "" || m.Diff(c) != "" {
			t.Errorf("%s: Diff says %q, the original's %q", name, m.Diff(changed), m.Diff(c))
		}
	}
}
