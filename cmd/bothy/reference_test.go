package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// referenceHead is what the reference begins with.
const referenceHead = `# Every setting of a node, at its default. A file holds only what it changes:
# bothy up --config FILE. What has a flag or a variable may be set by that
# instead: flags win over variables, and those over the file. A name that is not
# here is refused. Made by "make generate"; "bothy config check" checks a file.
`

// TestReferenceIsOfThisConfig compares the reference with what Config says now.
func TestReferenceIsOfThisConfig(t *testing.T) {
	want := writeReference(t)
	if *update {
		if err := os.WriteFile("reference.yaml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != reference {
		t.Error("reference.yaml is not what Config says: run make generate")
	}
}

// TestReferenceIsTheDefault reads the reference as a node would: it must be
// the same as no file at all.
func TestReferenceIsTheDefault(t *testing.T) {
	var have Config
	if err := have.parse("reference.yaml", []byte(reference)); err != nil {
		t.Fatal(err)
	}
	// Nothing and none are the same to a node.
	if have, want := leaves(t, have), leaves(t, referenceConfig()); have != want {
		t.Errorf("read:\n%s\nwant:\n%s", have, want)
	}
}

// TestConfigurationsAreChecked reads good and bad ones as the command does.
func TestConfigurationsAreChecked(t *testing.T) {
	for text, code := range map[string]int{"http: {addr: \"127.0.0.1:1\"}": 0, "http: {adr: x}": exitUsage, "log: {level: loud}": exitUsage} {
		path := filepath.Join(t.TempDir(), "bothy.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		term := &terminal{out: &out, err: &errs, getenv: func(string) string { return "" }}
		if got := execute(t.Context(), term, []string{"config", "check", "--config", path}); got != code || (code == 0) != strings.Contains(out.String(), "good") {
			t.Errorf("%s: exit %d, %s%s", text, got, &out, &errs)
		}
	}
}

func leaves(t *testing.T, c Config) string {
	t.Helper()
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("[]", "none", "{}", "none", "null", "none").Replace(string(text))
}

// referenceConfig is DefaultConfig, the same on every machine.
func referenceConfig() Config {
	c := DefaultConfig()
	c.Node.Dir = systemDir
	return c
}

// writeReference writes the file of a configuration with the comments of its
// types.
func writeReference(t *testing.T) string {
	t.Helper()
	c := referenceConfig()
	w := &referenceWriter{t: t, docs: map[string]map[string]string{}, settings: map[any]setting{}}
	for _, s := range settings {
		w.settings[s.field(&c)] = s
	}
	w.out.WriteString(referenceHead)
	w.fields(reflect.ValueOf(&c).Elem(), 0)
	return w.out.String()
}

type referenceWriter struct {
	t        *testing.T
	out      bytes.Buffer
	docs     map[string]map[string]string // of the types of a package: type or type.Field
	settings map[any]setting              // by the address of their field
}

// fields writes a struct.
func (w *referenceWriter) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		if depth == 0 {
			w.out.WriteByte('\n')
		}
		doc := w.doc(v.Type(), f.Name)
		if doc == "" && f.Type.Kind() == reflect.Struct {
			doc = name + " " + w.doc(f.Type, "")
		}
		if strings.TrimSpace(strings.TrimPrefix(doc, name)) == "" {
			w.t.Errorf("%s.%s has no comment for the reference", v.Type(), f.Name)
		}
		w.comment(depth, doc+w.set(v.Field(i)))
		if f.Type.Kind() == reflect.Struct {
			w.line(depth, name+":")
			w.fields(v.Field(i), depth+1)
			continue
		}
		w.value(depth, name, v.Field(i))
	}
}

// set says what else sets a field.
func (w *referenceWriter) set(v reflect.Value) string {
	if s, ok := w.settings[v.Addr().Interface()]; ok {
		return fmt.Sprintf(" (--%s, %s)", s.flag, s.variable)
	}
	return ""
}

func (w *referenceWriter) value(depth int, name string, v reflect.Value) {
	plain := v.Interface()
	switch size := plain.(type) {
	case time.Duration:
		plain = size.String()
	case Bytes:
		plain = size.String()
	}
	var node yaml.Node
	if err := node.Encode(map[string]any{name: plain}); err != nil {
		w.t.Fatal(err)
	}
	inline(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "    ", "  ")) {
		w.line(depth, strings.TrimRight(line, "\n"))
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		w.elements(depth, v.Type().Elem())
	}
}

// inline writes lists in one line.
func inline(n *yaml.Node) {
	if n.Kind == yaml.SequenceNode {
		n.Style = yaml.FlowStyle
	}
	for _, inner := range n.Content {
		inline(inner)
	}
}

// elements explains the fields of a list's elements.
func (w *referenceWriter) elements(depth int, t reflect.Type) {
	w.line(depth, "# Each has:")
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		w.comment(depth, "- "+name+": "+w.within(t, f))
	}
}

// within explains a field of an element, and the fields that it has itself.
func (w *referenceWriter) within(t reflect.Type, f reflect.StructField) string {
	doc := strings.TrimPrefix(w.doc(t, f.Name), f.Tag.Get("yaml")+" ")
	if doc == "" {
		w.t.Errorf("%s.%s has no comment for the reference", t, f.Name)
	}
	inner := f.Type
	if inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	if inner.Kind() != reflect.Struct {
		return doc
	}
	var parts []string
	for i := range inner.NumField() {
		part := inner.Field(i)
		parts = append(parts, part.Tag.Get("yaml")+" ("+w.within(inner, part)+")")
	}
	return strings.TrimSuffix(doc, ".") + ": " + strings.Join(parts, ", ")
}

// comment writes text in lines of a readable length.
func (w *referenceWriter) comment(depth int, text string) {
	const width = 96
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != "#" {
			w.line(depth, line)
			line = "#"
		}
		line += " " + word
	}
	w.line(depth, line)
}

func (w *referenceWriter) line(depth int, text string) {
	w.out.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

// doc is the comment of a type, or of its field, with the name that it begins
// with as the file has it.
func (w *referenceWriter) doc(t reflect.Type, field string) string {
	docs, ok := w.docs[t.PkgPath()]
	if !ok {
		docs = readDocs(w.t, t.PkgPath())
		w.docs[t.PkgPath()] = docs
	}
	if field == "" {
		_, text, _ := strings.Cut(docs[t.Name()], t.Name()+" ")
		return text
	}
	text := docs[t.Name()+"."+field]
	f, _ := t.FieldByName(field)
	if rest, ok := strings.CutPrefix(text, field+" "); ok {
		return f.Tag.Get("yaml") + " " + rest
	}
	return text
}

// readDocs reads the comments of a package's types and their fields.
func readDocs(t *testing.T, pkg string) map[string]string {
	t.Helper()
	dir := "."
	if below, ok := strings.CutPrefix(pkg, module); ok {
		dir = filepath.Join("../..", below)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the source of %s: %v", pkg, err)
	}
	docs := map[string]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok {
				for _, spec := range decl.Specs {
					if typ, ok := spec.(*ast.TypeSpec); ok {
						docs[typ.Name.Name] = decl.Doc.Text()
						fieldDocs(docs, typ)
					}
				}
			}
			return true
		})
	}
	return docs
}

func fieldDocs(docs map[string]string, typ *ast.TypeSpec) {
	s, ok := typ.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			docs[typ.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
}
