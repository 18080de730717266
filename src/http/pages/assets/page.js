/**
 * The script of all pages. Everything on them works without it; it adds buttons that copy a block of code.
 */

/** Read out by screen readers. */
function announce(text) {
  document.getElementById('announcement').textContent = text
}

/** Returns false if the browser allows no access to the clipboard; the text is then selected. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent)
    return true
  } catch {
    // Without HTTPS there is no such interface, and the user can refuse it.
    getSelection().selectAllChildren(element)
    return document.execCommand('copy')
  }
}

for (const button of document.querySelectorAll('button[data-copies]')) {
  // What is copied follows, for screen readers.
  const label = button.firstChild
  let timer
  button.hidden = false
  button.addEventListener('click', async () => {
    const isCopied = await copy(document.getElementById(button.dataset.copies))
    label.data = isCopied ? 'Copied' : 'Selected'
    announce(isCopied ? 'Copied' : 'Selected: press Ctrl+C to copy')
    clearTimeout(timer)
    timer = setTimeout(() => {
      label.data = 'Copy'
    }, 2000)
  })
}
