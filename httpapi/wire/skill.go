package wire

// Skill is a directory of instructions that agents may be given.
type Skill struct {
	ID          string `json:"id"`
	UserID      string `json:"userId"`
	Name        string `json:"name"`
	Description string `json:"description"`
	FileCount   int    `json:"fileCount"`
	SizeBytes   int    `json:"sizeBytes"`
	CreatedAt   Time   `json:"createdAt"`
	// Files are there when one skill was asked for.
	Files []SkillFile `json:"files,omitempty"`
}

// SkillFile is a file of a skill. Content is text, or base64 where Encoding
// says so.
type SkillFile struct {
	Path       string `json:"path"`
	Content    string `json:"content"`
	Encoding   string `json:"encoding,omitempty"` // utf8 (default), base64
	Executable bool   `json:"executable,omitempty"`
}

// CreateSkill stores a skill. Name and description are those of SKILL.md's head
// unless they are given.
type CreateSkill struct {
	Name        string      `json:"name,omitempty"`
	Description string      `json:"description,omitempty"`
	Files       []SkillFile `json:"files"`
}

// OneSkill wraps a skill in a reply.
type OneSkill struct {
	Skill Skill `json:"skill"`
}
