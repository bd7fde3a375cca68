package build

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/bothy-computer/bothy/runtime/image"
)

// defaultPath is what a base without a PATH has, as every builder gives it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// scriptPath is where a heredoc is that names its own interpreter, while it runs.
const scriptPath = "/dev/pipes/script"

// maxArgumentBytes is what Linux passes as one argument.
const maxArgumentBytes = 128<<10 - 1

// stage is what is known of a stage while its instructions are planned.
type stage struct {
	planner   *planner
	index     int // in the file
	at        int // in the plan, once it is there
	line      int // of the instruction that is planned now
	planned   Stage
	key       string
	config    image.Config
	env       *variables // of the image
	seen      *variables // by its instructions: ENV and ARG together, the later of a name
	shell     []string
	commanded bool            // CMD was given in this stage
	placed    bool            // WORKDIR was given, so that a relative one has a place
	declared  map[string]bool // arguments, with a value or none
}

// begin starts from an image.
func (s *stage) begin(name string, base Base) {
	s.planned.Image, s.planned.Base = name, base
	s.key, s.config = beginKey(base.Digest), base.Config
	s.env = newVariables(base.Config.Env)
	if _, ok := s.env.values["PATH"]; !ok {
		s.env.put("PATH", defaultPath)
	}
	s.seen = s.env.clone()
}

// follow starts from what an earlier stage has become. Its arguments go on too.
func (s *stage) follow(earlier *stage) {
	s.planned.From = earlier.at
	s.key, s.config, s.shell = earlier.key, earlier.config, earlier.shell
	s.env, s.seen = earlier.env.clone(), earlier.seen.clone()
	s.placed, s.declared = earlier.placed, maps.Clone(earlier.declared)
}

// finish is the configuration of an image of the stage.
func (s *stage) finish() image.Config {
	s.config.Env = slices.Clone(s.env.list())
	return s.config
}

// command plans one instruction.
func (s *stage) command(c instructions.Command) error {
	s.line = lineOf(c.Location())
	s.planner.expand.unset = func(name string) { s.unset(c, name) }
	if c, ok := c.(instructions.SupportsSingleWordExpansion); ok && !isArg(c) {
		if err := c.Expand(s.word); err != nil {
			return err
		}
	}
	action, err := s.action(c)
	if err != nil {
		return err
	}
	if action != nil {
		s.key = nextKey(s.key, effect(action))
	}
	s.planner.plan.Steps++
	s.planned.Steps = append(s.planned.Steps, Step{
		Number: s.planner.plan.Steps, Line: s.line, Text: firstLine(fmt.Sprint(c)), Key: s.key, Action: action,
	})
	return nil
}

// unset tells of a variable that is used and set nowhere, if it is known what
// the base sets.
func (s *stage) unset(c instructions.Command, name string) {
	if s.planner.options.Image != nil && !s.declared[name] {
		s.planner.lint.WithMergedConfigFromComments(c.Comments()).Run(&linter.RuleUndefinedVar, c.Location(), linter.RuleUndefinedVar.Format(name, ""))
	}
}

// isArg reports whether variables are for the stage to fill in: a value that
// is not used is not expanded.
func isArg(c any) bool {
	_, ok := c.(*instructions.ArgCommand)
	return ok
}

func (s *stage) wrong(format string, args ...any) error { return wrong(s.line, format, args...) }

func (s *stage) word(word string) (string, error) {
	result, err := s.planner.expand.word(word, s.seen)
	if err != nil {
		return "", s.wrong("%v", err)
	}
	return result, nil
}

// action is what an instruction does to files; what it does to the
// configuration is done.
func (s *stage) action(c instructions.Command) (Action, error) {
	switch c := c.(type) {
	case *instructions.RunCommand:
		return s.run(c)
	case *instructions.CopyCommand:
		if c.From != "" {
			return s.copy(c)
		}
		return s.files(c.SourcesAndDest, c.Chown, c.Chmod)
	case *instructions.AddCommand:
		return s.files(c.SourcesAndDest, c.Chown, c.Chmod)
	case *instructions.WorkdirCommand:
		return s.workdir(c)
	case *instructions.ArgCommand:
		return nil, s.arg(c)
	case *instructions.EnvCommand:
		return nil, s.setenv(c)
	case *instructions.LabelCommand:
		return nil, s.label(c)
	case *instructions.UserCommand:
		s.config.User = c.User
	case *instructions.ShellCommand:
		s.shell = c.Shell
	case *instructions.CmdCommand:
		s.config.Cmd, s.commanded = s.argv(c.ShellDependantCmdLine), true
	case *instructions.EntrypointCommand:
		s.config.Entrypoint = s.argv(c.ShellDependantCmdLine)
		if !s.commanded {
			s.config.Cmd = nil // it was written for the base's entrypoint
		}
	}
	// EXPOSE, VOLUME, HEALTHCHECK, STOPSIGNAL and MAINTAINER say nothing that a
	// computer heeds.
	return nil, nil
}

func (s *stage) setenv(c *instructions.EnvCommand) error {
	for _, pair := range c.Env {
		s.env.put(pair.Key, pair.Value)
		if err := s.seen.set(pair.Key, pair.Value); err != nil { // it holds all that env does
			return s.wrong("%v", err)
		}
	}
	return nil
}

func (s *stage) arg(c *instructions.ArgCommand) error {
	for _, arg := range c.Args {
		s.declared[arg.Key] = true
		value, ok := s.planner.global.values[arg.Key]
		if arg.Value != nil {
			var err error
			if value, err = s.word(*arg.Value); err != nil {
				return err
			}
			ok = true
		}
		if !ok {
			continue
		}
		if err := s.seen.set(arg.Key, value); err != nil {
			return s.wrong("%v", err)
		}
	}
	return nil
}

func (s *stage) label(c *instructions.LabelCommand) error {
	for _, pair := range c.Labels {
		if pair.Key != image.DesktopLabel {
			continue
		}
		if pair.Value != "" && !path.IsAbs(pair.Value) {
			return s.wrong("the label %s is %s, which is no absolute path", pair.Key, quoted(pair.Value))
		}
		s.config.Desktop = pair.Value
	}
	return nil
}

// argv is a command line, with the shell before it when it is for one.
func (s *stage) argv(c instructions.ShellDependantCmdLine) []string {
	if !c.PrependShell || len(c.CmdLine) == 0 {
		return c.CmdLine
	}
	return append(slices.Clone(s.shell), strings.Join(c.CmdLine, " "))
}

func (s *stage) run(c *instructions.RunCommand) (Action, error) {
	do := Run{
		Env: s.seen.list(), Dir: s.dir(), User: cmp.Or(s.config.User, "root"),
		Offline: instructions.GetNetwork(c) == instructions.NetworkNone,
	}
	line := c.ShellDependantCmdLine
	if len(c.Files) > 0 {
		if len(line.CmdLine) != 1 || !line.PrependShell {
			return nil, s.wrong("RUN takes a heredoc in its shell form only")
		}
		text := line.CmdLine[0]
		if parser.MustParseHeredoc(text) == nil {
			line.CmdLine = []string{reunited(text, c.Files)} // the shell knows what the heredoc is for
		} else if script := content(c.Files[0]); strings.HasPrefix(script, "#!") {
			do.Argv, do.Documents = []string{scriptPath}, []File{{Path: scriptPath, Data: script, Mode: 0o755}}
			return do, nil
		} else {
			line.CmdLine = []string{script}
		}
	}
	do.Argv = s.argv(line)
	for _, argument := range do.Argv {
		if len(argument) > maxArgumentBytes {
			return nil, s.wrong("the command is %d bytes and may be %d; a heredoc that begins with #! may be longer", len(argument), maxArgumentBytes)
		}
	}
	return do, nil
}

// reunited is a command line with its heredocs after it again.
func reunited(line string, files []instructions.ShellInlineFile) string {
	var b strings.Builder
	b.WriteString(line)
	for _, f := range files {
		b.WriteString("\n" + f.Data + f.Name)
	}
	return b.String()
}

func content(f instructions.ShellInlineFile) string {
	if f.Chomp {
		return parser.ChompHeredocContent(f.Data)
	}
	return f.Data
}

func (s *stage) dir() string { return path.Join("/", s.config.WorkDir) }

func (s *stage) workdir(c *instructions.WorkdirCommand) (Action, error) {
	if !s.placed && !path.IsAbs(c.Path) {
		s.planner.lint.Run(&linter.RuleWorkdirRelativePath, c.Location(), linter.RuleWorkdirRelativePath.Format(c.Path))
	}
	s.placed = true
	if path.IsAbs(c.Path) {
		s.config.WorkDir = path.Clean(c.Path)
	} else {
		s.config.WorkDir = path.Join(s.dir(), c.Path)
	}
	if s.config.WorkDir == "/" {
		return nil, nil
	}
	return Dir{Path: s.config.WorkDir, User: cmp.Or(s.config.User, "root")}, nil
}

// dest is where files go, with a / at its end when that is a directory.
func (s *stage) dest(to string, sources int) (string, error) {
	if to == "" {
		return "", s.wrong("the destination is empty")
	}
	whole := path.Join("/", to)
	if !path.IsAbs(to) {
		whole = path.Join(s.dir(), to)
	}
	last := to[strings.LastIndexByte(to, '/')+1:]
	switch {
	case last == "" || last == "." || last == "..", whole == "/":
		return strings.TrimSuffix(whole, "/") + "/", nil
	case sources > 1:
		return "", s.wrong("%d sources go into a directory, so %s must end with /", sources, quoted(to))
	}
	return whole, nil
}

// mode reads --chmod, or is the one given when there is none.
func (s *stage) mode(chmod string, none uint32) (uint32, error) {
	if chmod == "" {
		return none, nil
	}
	mode, err := strconv.ParseUint(chmod, 8, 12)
	if err != nil || mode == 0 {
		return 0, s.wrong("--chmod=%s is no octal mode such as 755", quoted(chmod))
	}
	return uint32(mode), nil
}

// files are the heredocs of COPY and ADD.
func (s *stage) files(c instructions.SourcesAndDest, chown, chmod string) (Action, error) {
	dest, err := s.dest(c.DestPath, len(c.SourceContents))
	if err != nil {
		return nil, err
	}
	mode, err := s.mode(chmod, 0o644)
	if err != nil {
		return nil, err
	}
	var do Files
	for _, source := range c.SourceContents {
		data := source.Data
		if source.Expand {
			if data, err = s.planner.expand.document(data, s.seen); err != nil {
				return nil, s.wrong("%v", err)
			}
		}
		if s.planner.written += len(data); s.planner.written > maxDocumentBytes {
			return nil, s.wrong("the heredocs of COPY and ADD together are larger than %d bytes", maxDocumentBytes)
		}
		to := dest
		if strings.HasSuffix(dest, "/") {
			to = path.Join(dest, path.Base(path.Join("/", source.Path)))
		}
		if to == "/" {
			return nil, s.wrong("the heredoc %s has no name of a file", quoted(source.Path))
		}
		do.Files = append(do.Files, File{Path: to, Data: data, Mode: mode, Owner: chown})
	}
	return do, nil
}

// copy copies from a stage or an image.
func (s *stage) copy(c *instructions.CopyCommand) (Action, error) {
	dest, err := s.dest(c.DestPath, len(c.SourcePaths))
	if err != nil {
		return nil, err
	}
	do := Copy{Stage: -1, Dest: dest, Owner: c.Chown}
	if do.Mode, err = s.mode(c.Chmod, 0); err != nil {
		return nil, err
	}
	for _, source := range c.SourcePaths {
		do.Sources = append(do.Sources, path.Join("/", source))
	}
	from, err := s.planner.source(c, s.index)
	if err != nil {
		return nil, err
	}
	if from >= 0 {
		do.Stage, do.From = s.planner.built[from].at, s.planner.built[from].key
		return do, nil
	}
	base, err := s.planner.base(c.From, s.line)
	if err != nil {
		return nil, err
	}
	do.Image, do.From = c.From, base.Digest
	return do, nil
}
