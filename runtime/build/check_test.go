package build

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCheckErrors(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string // beginnings of the errors
	}{
		"a word that is none":        {"FROM debian\n\n# x\n\nRUNN ls", []string{"Dockerfile syntax error on line 5: unknown instruction: RUNN (did you mean RUN?)"}},
		"every mistake at once":      {"FROM debian\nRUNN ls\nWORKDIR\nENV", []string{"Dockerfile syntax error on line 2: unknown", "Dockerfile syntax error on line 3: WORKDIR requires exactly one", "Dockerfile syntax error on line 4: ENV"}},
		"nothing":                    {"", []string{"Dockerfile syntax error on line 1: file with no instructions"}},
		"no base":                    {"RUN ls", []string{"Dockerfile syntax error on line 1: RUN stands before the first FROM"}},
		"only an argument":           {"ARG A=1", []string{"Dockerfile syntax error on line 1: there is no FROM"}},
		"an open heredoc":            {"FROM debian\nRUN <<EOF\nls", []string{"Dockerfile syntax error on line 2: unterminated heredoc"}},
		"an open quote":              {"FROM debian\nENV A=\"b", []string{"Dockerfile syntax error on line 2: failed to process"}},
		"host network":               {"FROM debian\nRUN --network=host ls", []string{"Dockerfile syntax error on line 2: RUN --network=host is not allowed"}},
		"insecure":                   {"FROM debian\nRUN --security=insecure ls", []string{"Dockerfile syntax error on line 2: RUN --security=insecure is not allowed"}},
		"a device":                   {"FROM debian\nRUN --device=nvidia.com/gpu=all ls", []string{"Dockerfile syntax error on line 2: RUN --device is not allowed"}},
		"a mount":                    {"FROM debian\nRUN --mount=target=/x ls", []string{"Dockerfile syntax error on line 2: RUN --mount=type=bind is not supported"}},
		"a cache mount":              {"FROM debian\nRUN --mount=type=cache,target=/x ls", []string{"Dockerfile syntax error on line 2: RUN --mount=type=cache is not supported"}},
		"a secret mount":             {"FROM debian\nRUN --mount=target=/x,type=secret ls", []string{"Dockerfile syntax error on line 2: RUN --mount=type=secret is not supported"}},
		"a secret argument":          {"FROM debian\nARG NPM_TOKEN=abc", []string{"Dockerfile syntax error on line 2: ARG NPM_TOKEN looks like a secret"}},
		"a secret for FROM":          {"ARG password=abc\nFROM debian", []string{"Dockerfile syntax error on line 1: ARG password looks like a secret"}},
		"ADD of a URL":               {"FROM debian\nADD https://x/y /z", []string{"Dockerfile syntax error on line 2: ADD of a URL or a git repository is not supported: use RUN curl"}},
		"ADD of a repository":        {"FROM debian\nADD git@github.com:x/y.git /z", []string{"Dockerfile syntax error on line 2: ADD of a URL or a git"}},
		"ADD of a file":              {"FROM debian\nADD . /z", []string{"Dockerfile syntax error on line 2: ADD .: there is no build context"}},
		"COPY of a file":             {"FROM debian\nCOPY package.json /z", []string{"Dockerfile syntax error on line 2: COPY package.json: there is no build context"}},
		"COPY of both":               {"FROM debian\nCOPY --from=debian /a <<EOF /z/\nEOF", []string{"Dockerfile syntax error on line 2: COPY takes heredocs or --from"}},
		"COPY with parents":          {"FROM debian\nCOPY --from=debian --parents /a /z/", []string{"Dockerfile syntax error on line 2: COPY --parents"}},
		"ONBUILD":                    {"FROM debian\nONBUILD RUN ls", []string{"Dockerfile syntax error on line 2: ONBUILD is not supported"}},
		"somebody's frontend":        {"# syntax=evil/frontend\nFROM debian", []string{"Dockerfile syntax error on line 1: # syntax=evil/frontend names a frontend"}},
		"another platform":           {"FROM --platform=linux/s390x debian", []string{"Dockerfile syntax error on line 1: FROM --platform=linux/s390x is not supported: this is linux/amd64"}},
		"an unknown base":            {"FROM debian\nCOPY --from=nosuch /a /b", []string{"Dockerfile syntax error on line 2: there is no image nosuch"}},
		"a base of nothing":          {"ARG A\nFROM $A", []string{"Dockerfile syntax error on line 2: FROM $A names no image"}},
		"a base of two words":        {"ARG A=\"b c\"\nFROM $A", []string{"Dockerfile syntax error on line 2: \"b c\" names no image"}},
		"a later stage":              {"FROM debian AS a\nCOPY --from=later /a /b\nFROM debian AS later\nFROM a", []string{"Dockerfile syntax error on line 2: COPY --from=later names a stage that is not finished"}},
		"itself":                     {"FROM debian AS me\nCOPY --from=me /a /b", []string{"Dockerfile syntax error on line 2: COPY --from=me names a stage that is not finished"}},
		"a stage that is not there":  {"FROM debian\nCOPY --from=0 /a /b", []string{"Dockerfile syntax error on line 2: COPY --from=0 names no earlier stage"}},
		"a mode that is none":        {"FROM debian\nCOPY --chmod=rwx <<EOF /a\nEOF", []string{"Dockerfile syntax error on line 2: --chmod=\"rwx\" is no octal mode"}},
		"no command":                 {"FROM debian\nRUN []", []string{"Dockerfile syntax error on line 2: RUN requires a command"}},
		"two files into one":         {"FROM debian\nCOPY <<A <<B /x\nA\nB", []string{"Dockerfile syntax error on line 2: 2 sources go into a directory"}},
		"a variable must be set":     {"FROM debian\nENV A=\"${B:?say B}\"", []string{"Dockerfile syntax error on line 2: failed to process"}},
		"no text":                    {"FROM debian\nRUN \xff", []string{"Dockerfile syntax error on line 2: the line is not UTF-8 text"}},
		"a desktop that is nowhere":  {"FROM debian\nLABEL computer.bothy.desktop=here", []string{"Dockerfile syntax error on line 2: the label"}},
		"a check where nobody hears": {"FROM debian\n# check=skip=all\nRUNN", []string{"Dockerfile syntax error on line 3: unknown instruction"}},
	}
	known := Options{KnownBase: func(name string) bool { return name == "debian" }, Platform: "linux/amd64"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Check(tt.text, known).Errors
			if len(got) != len(tt.want) {
				t.Fatalf("%+v", got)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i].Text, want) {
					t.Errorf("%q", got[i].Text)
				}
			}
			_, err := NewPlan(tt.text, Options{Image: bare().Image, Platform: "linux/amd64"})
			if !strings.Contains(got[0].Text, "there is no image") && (err == nil || err.Error() != got[0].Text) {
				t.Errorf("the plan says %v", err)
			}
		})
	}
}

func TestCheckTakes(t *testing.T) {
	for _, text := range []string{
		"# syntax=docker/dockerfile:1\nFROM debian", "# syntax=docker/dockerfile:1.7-labs\nFROM debian", "# escape=`\nFROM debian\nRUN dir `\n  c:\\\n",
		"FROM --platform=$BUILDPLATFORM debian", "FROM --platform=linux/amd64 debian", "FROM debian AS a\nFROM A\nCOPY --from=a /x /y\nCOPY --from=0 /x /y",
		"FROM debian\nARG TOKEN", "FROM debian\nARG TOKEN=\nARG SECRET_FILE=/x\nARG PUBLIC_KEY=x\nARG KEYBOARD=us\nARG AUTHOR=me", "FROM debian\nRUN --network=none ls",
		"FROM debian\nADD <<EOF /x\nEOF", "from debian\nrun ls", "FROM debian\nRUN echo ${a//b/c} $(x) `y`", "FROM debian\n# check=skip=all\nENV A=$A",
	} {
		if got := Check(text, Options{Platform: "linux/amd64"}); len(got.Errors) > 0 {
			t.Errorf("%q: %+v", text, got.Errors)
		}
	}
}

func TestCheckWarnings(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"maintainer":         {"MAINTAINER me", "Line 2: Maintainer instruction is deprecated in favor of using label (MaintainerDeprecated)"},
		"casing":             {"RUN ls\nrun ls", "Line 3: Command 'run' should match the case of the command majority (uppercase) (ConsistentInstructionCasing)"},
		"a secret":           {"ENV API_KEY=x", "Line 2: Do not use ARG or ENV instructions for sensitive data (ENV \"API_KEY\") (SecretsUsedInArgOrEnv)"},
		"two commands":       {"CMD [\"a\"]\nCMD [\"b\"]", "Line 2: Multiple CMD instructions should not be used in the same stage because only the last one will be used (MultipleInstructionsDisallowed)"},
		"a shell's command":  {"CMD a", "Line 2: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (JSONArgsRecommended)"},
		"a relative place":   {"WORKDIR a", "Line 2: Relative workdir \"a\" can have unexpected results if the base image changes (WorkdirRelativePath)"},
		"an old form":        {"ENV A b", "Line 2: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (LegacyKeyValueFormat)"},
		"a variable":         {"ENV A=$B", "Line 2: Usage of undefined variable '$B' (UndefinedVar)"},
		"a port":             {"EXPOSE 80/TCP", "Line 2: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (ExposeProtoCasing)"},
		"a port of the host": {"EXPOSE 8080:80", "Line 2: EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80' (ExposeInvalidFormat)"},
		"an empty line":      {"RUN a \\\n\n  b", "Line 4: Empty continuation line (NoEmptyContinuation)"},
		"the same name":      {"FROM debian AS a\nFROM debian AS a", "Line 3: Duplicate stage name \"a\", stage names should be unique (DuplicateStageName)"},
		"a stage's casing":   {"FROM debian AS Abc", "Line 2: Stage name 'Abc' should be lowercase (StageNameCasing)"},
		"as":                 {"FROM debian as abc", "Line 2: 'as' and 'FROM' keywords' casing do not match (FromAsCasing)"},
		"a volume":           {"VOLUME /x", "Line 2: VOLUME has no effect: a computer keeps all its files"},
		"a constant":         {"FROM --platform=linux/amd64 debian", "Line 2: FROM --platform flag should not use constant value \"linux/amd64\" (FromPlatformFlagConstDisallowed)"},
		"its own platform":   {"FROM --platform=$TARGETPLATFORM debian", "Line 2: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (RedundantTargetPlatform)"},
		"a reserved name":    {"FROM debian AS scratch", "Line 2: Stage name should not use the same name as reserved stage \"scratch\" (ReservedStageName)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := bare()
			o.Platform = "linux/amd64"
			got := Check("FROM debian\n"+tt.text, o)
			if len(got.Errors) > 0 || len(got.Warnings) != 1 || got.Warnings[0].Text != tt.want {
				t.Errorf("%+v", got)
			}
			if got := Check("# check=skip=all\nFROM debian\n"+tt.text, o); len(got.Warnings) > 0 && name != "a volume" {
				t.Errorf("nobody wants to hear %+v", got.Warnings)
			}
		})
	}
}

func TestCheckExtensionsTellsTheirLines(t *testing.T) {
	r := Recipe{Runtimes: map[string]string{"python": "3.12"}, System: []string{"jq"}, SetupScripts: []string{"true"}}
	tests := map[string]struct{ extensions, want string }{
		"a word":              {"RUN true\n\nRUNN ls", "Dockerfile syntax error on line 3: unknown instruction: RUNN (did you mean RUN?)"},
		"the first line":      {"RUN --network=host x", "Dockerfile syntax error on line 1: RUN --network=host"},
		"an open heredoc":     {"RUN true\r\nRUN <<SETUP\nls", "Dockerfile syntax error on line 2: unterminated heredoc"},
		"an open line":        {"RUN true\nRUN ls \\\n  -l \\", "Dockerfile syntax error on line 2: the instruction goes on past the last line"},
		"a frontend":          {"# syntax=evil/x\nRUN true", "Dockerfile syntax error on line 1: # syntax=evil/x names a frontend"},
		"a base":              {"RUN true\nFROM nosuch", "Dockerfile syntax error on line 2: there is no image nosuch"},
		"what the base lacks": {"", "Dockerfile syntax error on line 1 of the effective Dockerfile: there is no image lost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := r
			r.Extensions = tt.extensions
			if tt.extensions == "" {
				r.Base = "lost"
			}
			got := CheckExtensions(r, Installers{}, Options{KnownBase: func(name string) bool { return name == DefaultBase }})
			if len(got.Errors) != 1 || !strings.HasPrefix(got.Errors[0].Text, tt.want) {
				t.Errorf("%+v", got)
			}
		})
	}
	r.Extensions = "RUN true\nVOLUME /x\n"
	if got := CheckExtensions(r, Installers{}, Options{}); len(got.Errors) > 0 || len(got.Warnings) != 1 || got.Warnings[0].Line != 2 {
		t.Errorf("%+v", got)
	}
}

func TestCheckBounds(t *testing.T) {
	doubling := "FROM debian\nENV A=0123456789\n" + strings.Repeat("ENV A=$A$A\n", 40)
	tests := map[string]string{
		"bytes":                  "FROM debian\n" + strings.Repeat("# x\n", maxDockerfileBytes/4),
		"a line":                 "FROM debian\nRUN " + strings.Repeat("x", 64<<10),
		"an instruction":         "FROM debian\nRUN " + strings.Repeat("x \\\n", 40<<10),
		"instructions":           "FROM debian\n" + strings.Repeat("RUN ls\n", maxInstructions),
		"stages":                 strings.Repeat("FROM debian\n", maxStages+1),
		"doubling":               doubling,
		"doubling an argument":   strings.ReplaceAll(doubling, "ENV", "ARG"),
		"doubling before FROM":   "ARG A=0123456789\n" + strings.Repeat("ARG A=$A$A\n", 40) + "FROM debian",
		"variables":              "FROM debian\n" + strings.Repeat("ENV"+many(maxVariables/2, " A%d=")+"\n", 1) + "ENV" + many(maxVariables, " B%d="),
		"labels":                 "FROM debian\nENV A=" + strings.Repeat("x", 30<<10) + "\nLABEL" + many(5000, " a%d=$A"),
		"nesting":                "FROM debian\nENV A=" + strings.Repeat("${a:-", maxNesting+1) + strings.Repeat("}", maxNesting+1),
		"nesting over lines":     "FROM debian\nRUN <<A " + strings.Repeat("${a- \\\n", maxNesting+1) + "\nA",
		"nesting in a heredoc":   "FROM debian\nCOPY <<A /x\n" + strings.Repeat("${a:-\n", maxNesting+1) + "\nA",
		"replacing all":          "FROM debian\nENV A=" + strings.Repeat("x", 10<<10) + "\nENV B=${A//x/" + strings.Repeat("y", 10<<10) + "}",
		"replacing a large text": "FROM debian\nENV A=" + strings.Repeat("x", 10<<10) + "\nENV B=${A//x/yyy}",
		"replacing in replaced":  "FROM debian\nENV A=x\nENV B=${A//x/${A//x/$A}}",
		"triggers":               "FROM debian\n" + strings.Repeat("ONBUI\\\nLD ", 5000),
		"patterns":               "FROM debian\nENV A=" + strings.Repeat("a", 2000) + "\n" + strings.Repeat("ENV B=${A##"+strings.Repeat("*a", 980)+"b}\n", 200),
		"a command":              "FROM debian\nRUN <<A\n" + strings.Repeat("echo one more\n", 10<<10) + "A",
		"heredocs": "FROM debian\nENV A=" + strings.Repeat("x", 60<<10) + "\nCOPY" + many(40, " <<E%d") + " /x/\n" +
			strings.Join(strings.Fields(many(40, " $A\nE%d")), "\n"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			if got := Check(text, Options{}); len(got.Errors) != 1 {
				t.Errorf("%+v", got.Errors)
			} else if len(got.Errors[0].Text) > 2*maxReasonBytes {
				t.Errorf("an error of %d bytes", len(got.Errors[0].Text))
			} else {
				t.Log(got.Errors[0].Text)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// many repeats a pattern with its number in it.
func many(n int, pattern string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pattern, i)
	}
	return b.String()
}
