package wire

// FileEntry is a file or directory of a workspace. Links and whatever else there
// is are files without a size. Clients of different ages read different fields.
type FileEntry struct {
	Name         string  `json:"name"`
	Path         string  `json:"path"` // from the workspace on
	Type         string  `json:"type"` // file or directory
	Size         int64   `json:"size"`
	MimeType     *string `json:"mimeType"` // of files, by their names
	ModifiedAt   Time    `json:"modifiedAt"`
	LastModified Time    `json:"lastModified"`
}

// FileList is what is in a directory.
type FileList struct {
	List[FileEntry]
	Files         []FileEntry `json:"files"` // the same again
	EnvironmentID string      `json:"environmentId"`
	Path          string      `json:"path"`
	Depth         int         `json:"depth"` // -1 is all levels
	Count         int         `json:"count"`
}

// UploadedFile is a file that was written.
type UploadedFile struct {
	Filename string `json:"filename"`
	Path     string `json:"path"` // from the workspace on
	Size     int64  `json:"size"`
}

// UploadedOne is the reply to a single file.
type UploadedOne struct {
	Success       bool   `json:"success"`
	EnvironmentID string `json:"environmentId"`
	UploadedFile
}

// UploadedMany is the reply to several files at once.
type UploadedMany struct {
	Success       bool           `json:"success"` // all were written
	EnvironmentID string         `json:"environmentId"`
	Files         []UploadedFile `json:"files"`
	Errors        []FileError    `json:"errors"`
}

// FileError says what was not written, and why.
type FileError struct {
	Filename string `json:"filename,omitempty"` // as it came
	Path     string `json:"path,omitempty"`
	Error    string `json:"error"`
}

// MakeDirectory makes a directory and those above it.
type MakeDirectory struct {
	Path string `json:"path"`
}

// MadeDirectory is the reply.
type MadeDirectory struct {
	Success       bool   `json:"success"`
	Path          string `json:"path"`
	EnvironmentID string `json:"environmentId"`
}

// MoveFile gives a file or directory another path.
type MoveFile struct {
	SourcePath string `json:"sourcePath"`
	DestPath   string `json:"destPath"`
}

// MovedFile is the reply.
type MovedFile struct {
	Success       bool   `json:"success"`
	EnvironmentID string `json:"environmentId"`
	SourcePath    string `json:"sourcePath"`
	DestPath      string `json:"destPath"`
}

// RemovedFile is the reply to a removal.
type RemovedFile struct {
	Success       bool   `json:"success"`
	Deleted       bool   `json:"deleted"`
	EnvironmentID string `json:"environmentId"`
	FilePath      string `json:"filePath"`
}

// UnpackedArchive is the reply to an archive.
type UnpackedArchive struct {
	Success       bool        `json:"success"` // nothing was passed over
	EnvironmentID string      `json:"environmentId"`
	Path          string      `json:"path"`  // where it was unpacked
	Count         int         `json:"count"` // files and links
	Directories   int         `json:"directories"`
	Size          int64       `json:"size"`    // of the files together
	Skipped       int         `json:"skipped"` // entries that were passed over
	Errors        []FileError `json:"errors"`  // the first of them
}

// UploadAttachment stores a file for messages to name.
type UploadAttachment struct {
	Filename      string           `json:"filename"`
	MimeType      string           `json:"mimeType"`
	Data          *[]byte          `json:"data"` // base64
	ThreadID      Optional[string] `json:"threadId,omitzero"`
	EnvironmentID Optional[string] `json:"environmentId,omitzero"`
	Folder        Optional[string] `json:"folder,omitzero"`
}

// Attachment is a file that messages can name.
type Attachment struct {
	ID            string `json:"id"`
	Filename      string `json:"filename"`
	MimeType      string `json:"mimeType"`
	Size          int64  `json:"size"`
	Type          string `json:"type"` // image or document
	URL           string `json:"url"`
	UploadedAt    Time   `json:"uploadedAt"`
	WorkspacePath string `json:"workspacePath"` // as the computer has it
	EnvironmentID string `json:"environmentId"`
}

// OneAttachment wraps an attachment in a reply.
type OneAttachment struct {
	Attachment Attachment `json:"attachment"`
}

// DeletedAttachment is the reply to a removal.
type DeletedAttachment struct {
	Deleted      bool   `json:"deleted"`
	AttachmentID string `json:"attachmentId"`
}
