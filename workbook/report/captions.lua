-- pandoc's filter for the report.
--
-- An image and the paragraph **Figure N.** after it become a figure with its caption, and so does a
-- paragraph **Table N.** with the table after it. Sections are numbered, except for the summary and
-- the references. The title and the line under it are written into this file before pandoc reads
-- it, because pandoc reads its command line in the locale's encoding.

-- Whether a block is a paragraph that begins with **Figure N** or **Table N**.
local function is_caption(block, word)
  return block ~= nil and block.t == "Para" and block.content[1].t == "Strong"
    and pandoc.utils.stringify(block.content[1]):match("^" .. word .. " %d+") ~= nil
end

-- Take the numbers from two headings.
local function unnumber(header)
  local text = pandoc.utils.stringify(header)
  if text == "Executive summary" or text == "References" then
    header.classes:insert("unnumbered")
  end
  return header
end

-- A table with its caption. On a web page a wide table scrolls, and its caption does not.
local function join_table(caption, table)
  local text = pandoc.Plain(caption.content)
  if FORMAT:match("html") == nil then
    table.caption = {long = {text}}
    return {table}
  end
  local opening = pandoc.RawBlock("html", "<figure><figcaption>")
  local between = pandoc.RawBlock("html", "</figcaption>")
  local closing = pandoc.RawBlock("html", "</figure>")
  return {opening, text, between, table, closing}
end

-- Join figures and tables with their captions.
local function join_captions(blocks)
  local out = pandoc.List()
  local i = 1
  while i <= #blocks do
    local block = blocks[i]
    local after = blocks[i + 1]
    local is_image = block.t == "Para" and #block.content == 1 and block.content[1].t == "Image"
    if is_image and is_caption(after, "Figure") then
      local picture = {pandoc.Plain(block.content)}
      local caption = {long = {pandoc.Plain(after.content)}}
      out:insert(pandoc.Figure(picture, caption))
      i = i + 2
    elseif is_caption(block, "Table") and after ~= nil and after.t == "Table" then
      out:extend(join_table(block, after))
      i = i + 2
    else
      out:insert(block)
      i = i + 1
    end
  end
  return out
end

local function add_titles(meta)
  meta.title = pandoc.Str(TITLE)
  meta.subtitle = pandoc.Str(COVER)
  meta.lang = "en-GB"
  return meta
end

return {{Header = unnumber, Blocks = join_captions, Meta = add_titles}}
