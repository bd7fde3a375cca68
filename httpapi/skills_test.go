package httpapi_test

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const skillText = "---\nname: release-notes\ndescription: How to write release notes\n---\n# Steps\nread reference/style.md\n"

func TestSkills(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	var made wire.OneSkill
	c.do("POST", "/v1/skills", map[string]any{"files": []map[string]any{{"path": "SKILL.md", "content": skillText},
		{"path": "reference/style.md", "content": "be brief\n"}, {"path": "run.sh", "content": "ZWNobyByYW4K", "encoding": "base64", "executable": true}}}).is(201).into(&made)
	if made.Skill.Name != "release-notes" || made.Skill.Description != "How to write release notes" || made.Skill.FileCount != 3 {
		t.Fatalf("%+v", made)
	}
	c.do("POST", "/skills", map[string]any{"files": []map[string]any{{"path": "SKILL.md", "content": skillText}}}).refused(409, "Skill exists: release-notes")
	var list wire.List[wire.Skill]
	c.do("GET", "/skills", nil).is(200).into(&list)
	if list.TotalCount != 1 || list.Data[0].ID != made.Skill.ID {
		t.Errorf("%+v", list)
	}
	var got wire.OneSkill
	c.do("GET", "/skills/release-notes", nil).is(200).into(&got)
	if len(got.Skill.Files) != 3 || got.Skill.Files[0].Content != skillText {
		t.Errorf("%+v", got)
	}
	var agent struct{ Agent wire.Agent }
	c.do("POST", "/agents", `{"name":"a","model":"script","enabledSkills":["release-notes"]}`).is(201).into(&agent)
	c.do("POST", "/agents", `{"name":"a","model":"script","enabledSkills":["none"]}`).refused(400, `enabledSkills[0]: there is no skill "none"`)
	c.do("PATCH", "/agents/"+agent.Agent.ID, `{"enabledSkills":["none"]}`).refused(400, "there is no skill")
	c.do("POST", "/threads", map[string]any{"content": "x", "enabledSkills": []string{"none"}}).refused(400, "enabledSkills[0]")

	// The script reads the skill; what it wrote over is there again for the next run.
	const use = "```bash\ncat .skills/release-notes/reference/style.md; .skills/release-notes/run.sh; [ -w .skills/release-notes/SKILL.md ] && [ $(id -u) != 0 ] && echo writable; rm -rf .skills\n```\n"
	for range 2 {
		var done wire.RunReply
		c.do("POST", "/threads", map[string]any{"content": use, "agentId": agent.Agent.ID, "stream": false}).is(200).into(&done)
		if text := *done.Response.Content; !strings.Contains(text, "be brief\nran\n") || strings.Contains(text, "writable") {
			t.Fatalf("the run says %q", text)
		}
		var diffs wire.ThreadDiffs
		if c.do("GET", "/threads/"+done.Thread.ID+"/diffs", nil).is(200).into(&diffs); len(diffs.Diffs) != 0 {
			t.Errorf("skills count as changes: %+v", diffs.Diffs)
		}
	}
	_, stranger := h.NewAccount("other", 1_000_000)
	as(t, h, stranger).do("GET", "/skills/"+made.Skill.ID, nil).refused(404, "Skill not found")
	as(t, h, stranger).do("DELETE", "/skills/release-notes", nil).refused(404, "Skill not found")
	c.do("DELETE", "/skills/"+made.Skill.ID, nil).is(200)
	c.do("GET", "/skills/release-notes", nil).refused(404, "Skill not found")
	c.do("PATCH", "/agents/"+agent.Agent.ID, `{"instructions":"y"}`).is(200) // what it had does not keep it from being changed
	var done wire.RunReply
	c.do("POST", "/threads", map[string]any{"content": "hello", "agentId": agent.Agent.ID, "stream": false}).is(200).into(&done)
	if log := string(c.do("GET", "/threads/"+done.Thread.ID+"/logs", nil).is(200).body); !strings.Contains(log, "The agent's skill release-notes was deleted") {
		t.Errorf("the run does not tell: %s", log)
	}
}

func TestSkillsAreRefused(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	file := func(path, content string) map[string]any { return map[string]any{"path": path, "content": content} }
	big := strings.Repeat("x", 300<<10)
	for name, tt := range map[string]struct {
		status int
		files  []map[string]any
	}{
		"must hold SKILL.md":   {400, []map[string]any{file("README.md", "x")}},
		"1 to 64 items":        {400, []map[string]any{}},
		"is there twice":       {400, []map[string]any{file("SKILL.md", skillText), file("SKILL.md", skillText)}},
		"relative path":        {400, []map[string]any{file("SKILL.md", skillText), file("../x", "y")}},
		"files[0].path":        {400, []map[string]any{file("/etc/passwd", "y")}},
		"lower-case letters":   {400, []map[string]any{file("SKILL.md", "---\nname: Bad Name\ndescription: d\n---\n")}},
		"description must be":  {400, []map[string]any{file("SKILL.md", "---\nname: x\n---\n")}},
		"is not YAML":          {400, []map[string]any{file("SKILL.md", "---\nname: [\n---\n")}},
		"name must be 1 to 64": {400, []map[string]any{file("SKILL.md", "no head")}},
		"the limit is 524288":  {413, []map[string]any{file("SKILL.md", skillText), file("a", big), file("b", big)}},
		"is not base64":        {400, []map[string]any{{"path": "SKILL.md", "content": "!", "encoding": "base64"}}},
	} {
		c.do("POST", "/skills", map[string]any{"files": tt.files}).refused(tt.status, name)
	}
}
