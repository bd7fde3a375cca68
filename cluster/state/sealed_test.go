package state

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every table whose records hold a sealed value, at whatever depth, is in
// sealedTables: else a new secrets key would never reach it.
func TestEverySealedValueIsKnown(t *testing.T) {
	structs, tables := declared(t)
	holders := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for name, s := range structs {
			if !holders[name] && holdsSealed(s, holders) {
				holders[name], grown = true, true
			}
		}
	}
	var want, have []string
	for table, record := range tables {
		if holders[record] {
			want = append(want, table)
		}
	}
	for _, s := range sealedTables {
		have = append(have, s.called())
	}
	slices.Sort(want)
	slices.Sort(have)
	if len(want) < 6 || !slices.Equal(want, have) {
		t.Fatalf("records of %v hold sealed values; sealedTables has %v", want, have)
	}
}

// declared reads the package's own source: its struct types by name, and its
// tables' record types by the table's name.
func declared(t *testing.T) (map[string]*ast.StructType, map[string]string) {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	structs, tables := map[string]*ast.StructType{}, map[string]string{}
	ast.Inspect(packages["state"], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				structs[n.Name.Name] = s
			}
		case *ast.CompositeLit:
			of, ok := n.Type.(*ast.IndexExpr)
			if !ok || of.X.(*ast.Ident).Name != "table" {
				break
			}
			for _, e := range n.Elts {
				if kv := e.(*ast.KeyValueExpr); kv.Key.(*ast.Ident).Name == "name" {
					tables[strings.Trim(kv.Value.(*ast.BasicLit).Value, `"`)] = of.Index.(*ast.Ident).Name
				}
			}
		}
		return true
	})
	return structs, tables
}

// holdsSealed reports whether a struct has sealed bytes, or a part that has.
func holdsSealed(s *ast.StructType, holders map[string]bool) (found bool) {
	for _, f := range s.Fields.List {
		ast.Inspect(f.Type, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			found = found || ok && (holders[id.Name] || id.Name == "Sealed")
			return true
		})
		for _, name := range f.Names {
			found = found || name.Name == "Sealed"
		}
	}
	return found
}

// What a table says of its records leaves no sealed value out.
func TestEverySealedPlaceIsVisited(t *testing.T) {
	checkPlaces(t, &environments)
	checkPlaces(t, &agents)
	checkPlaces(t, &runs)
	checkPlaces(t, &sessions)
	checkPlaces(t, &shares)
	checkPlaces(t, &secrets)
	checkPlaces(t, &webhooks)
	checkPlaces(t, &registries)
	if len(sealedTables) != 8 {
		t.Fatalf("%d tables hold sealed values: check the places of each here", len(sealedTables))
	}
}

func checkPlaces[T any](t *testing.T, table *table[T]) {
	t.Helper()
	var rec T
	want := map[*[]byte]bool{}
	fillSealed(reflect.ValueOf(&rec).Elem(), want)
	have := map[*[]byte]bool{}
	for _, p := range table.sealed(&rec) {
		have[p.value] = true
	}
	if len(want) == 0 || !maps.Equal(want, have) {
		t.Errorf("%s: %d sealed values, %d are told of", table.name, len(want), len(have))
	}
}

// fillSealed puts an element into every list and notes where sealed values are.
func fillSealed(v reflect.Value, found map[*[]byte]bool) {
	switch v.Kind() {
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fillSealed(v.Index(i), found)
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Sealed]() {
			found[v.FieldByName("Value").Addr().Interface().(*[]byte)] = true
			return
		}
		for i := range v.NumField() {
			f := v.Field(i)
			switch at, ok := f, f.CanSet(); {
			case !ok:
			case v.Type().Field(i).Name == "Sealed" && at.Type() == reflect.TypeFor[[]byte]():
				found[at.Addr().Interface().(*[]byte)] = true
			default:
				fillSealed(at, found)
			}
		}
	}
}
